import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * Deal events of one topic in, their amounts summed in windows of an hour in a RocksDB store with a changelog;
 * prints the seconds it took as JSON. Settings are Kafka Streams' own: one thread, at least once.
 *
 * <p>Arguments: broker, topic, number of events, folder for state, "rep" or "key". "rep" sums by rep, so records
 * go through a repartition topic first, as grouping by anything but the key does. "key" sums by the record's key.
 */
public final class StreamsPeer {
    @JsonIgnoreProperties(ignoreUnknown = true)
    record Data(@JsonProperty("rep_id") String rep, @JsonProperty("amount") String amount) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Sale(@JsonProperty("time") String time, @JsonProperty("data") Data data) {}

    /** Seconds since the JVM began. */
    record Seconds(double wall, double cpu, double user) {
        static Seconds now() {
            var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
            double cpu = system.getProcessCpuTime() / 1e9;
            return new Seconds(ManagementFactory.getRuntimeMXBean().getUptime() / 1e3, cpu, user(cpu));
        }

        /** Linux tells user time in hundredths; elsewhere all is called user time. */
        static double user(double cpu) {
            try {
                String stat = Files.readString(Path.of("/proc/self/stat"));
                return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[11]) / 100.0;
            } catch (IOException error) {
                return cpu;
            }
        }

        Seconds since(Seconds began) {
            return new Seconds(wall - began.wall, cpu - began.cpu, user - began.user);
        }

        String json() {
            return String.format(Locale.ROOT, "[%f, %f, %f]", wall, cpu, user);
        }
    }

    private static Seconds began;
    private static long summed;

    public static void main(String[] arguments) throws InterruptedException {
        endWithParent();
        String topic = arguments[1];
        long events = Long.parseLong(arguments[2]);
        var done = new CountDownLatch(1);
        var failed = new AtomicReference<Throwable>();

        var builder = new StreamsBuilder();
        KStream<byte[], Sale> sales = builder.stream(
            topic,
            Consumed.with(Serdes.ByteArray(), sales())
                .withTimestampExtractor((record, previous) -> {
                    if (began == null) {
                        began = Seconds.now();
                    }
                    return OffsetDateTime.parse(((Sale) record.value()).time()).toInstant().toEpochMilli();
                }));
        if (arguments[4].equals("rep")) {
            sum(sales.map((key, sale) -> new org.apache.kafka.streams.KeyValue<>(sale.data().rep(), amount(sale)))
                .groupByKey(Grouped.with(Serdes.String(), Serdes.Double())), Serdes.String(), events, done);
        } else {
            sum(sales.mapValues(StreamsPeer::amount).groupByKey(Grouped.with(Serdes.ByteArray(), Serdes.Double())),
                Serdes.ByteArray(), events, done);
        }

        var settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-kafka-streams-" + ProcessHandle.current().pid());
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        var streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            failed.set(error);
            done.countDown();
            return StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        done.await();
        // Closing flushes the store, its changelog and the offsets: what a commit is here.
        streams.close();
        if (failed.get() != null) {
            failed.get().printStackTrace();
            System.exit(1);
        }
        Seconds ended = Seconds.now();
        System.out.printf("{\"work\": %s, \"whole\": %s}%n", ended.since(began).json(), ended.json());
    }

    /** Whoever started this holds its standard input open for as long as it lives. */
    private static void endWithParent() {
        var watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // nothing is ever said
                }
            } catch (IOException ended) {
                // the same
            }
            Runtime.getRuntime().halt(1);
        });
        watch.setDaemon(true);
        watch.start();
    }

    private static <K> void sum(KGroupedStream<K, Double> grouped, Serde<K> keys, long events, CountDownLatch done) {
        grouped
            // No event is too late to count, as with the others.
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofHours(1), Duration.ofDays(30)))
            .aggregate(() -> 0.0, (key, amount, total) -> {
                summed += 1;
                if (summed == events) {
                    done.countDown();
                }
                return total + amount;
            }, Materialized.with(keys, Serdes.Double()));
    }

    private static double amount(Sale sale) {
        return Double.parseDouble(sale.data().amount());
    }

    private static Serde<Sale> sales() {
        ObjectReader reader = new ObjectMapper().readerFor(Sale.class);
        return Serdes.serdeFrom(
            (topic, sale) -> {
                throw new UnsupportedOperationException("sales are only read");
            },
            (topic, bytes) -> {
                try {
                    return reader.readValue(bytes);
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            });
    }
}
