"""Confluent's own client and Avro serializer talk to our double of a schema registry, and we read what they
write."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from streams.gateway.model import Delivery
from streams.gateway.schemas import AvroReader, AvroTold, Registry
from streams.gateway.vendors import VENDORS
from tests.api_double import served
from tests.registry_double import RegistryDouble
from tests.salesforce_avro import OPPORTUNITY, in_bits, places
from tests.salesforce_told import AT_MS, change, only, read
from tests.vendors.clients import WHY_ABSENT, aside

registry = pytest.importorskip("confluent_kafka.schema_registry", reason=WHY_ABSENT, exc_type=ImportError)
avro = pytest.importorskip("confluent_kafka.schema_registry.avro", reason=WHY_ABSENT, exc_type=ImportError)
serialization = pytest.importorskip("confluent_kafka.serialization", reason=WHY_ABSENT)


@dataclass
class Talk:
    double: RegistryDouble
    client: Any
    reader: AvroReader

    async def written(self, event: dict[str, Any]) -> bytes:
        """Return the record that Confluent's serializer makes of an event."""
        write = avro.AvroSerializer(self.client, json.dumps(OPPORTUNITY))
        context = serialization.SerializationContext("crm", serialization.MessageField.VALUE)
        value = await aside(lambda: write(event, context))
        assert isinstance(value, bytes)
        return value


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    double = RegistryDouble(token="reader:hunter2")
    async with served(double) as url, aiohttp.ClientSession() as http:
        told = AvroTold(url, double.token)
        reader = AvroReader(told, VENDORS["salesforce"].from_avro, Registry(http, told))
        with registry.SchemaRegistryClient({"url": url, "basic.auth.user.info": double.token}) as client:
            yield Talk(double, client, reader)


async def test_client_reads_a_schema_by_its_number(talk: Talk) -> None:
    talk.double.put(7, OPPORTUNITY)
    found = await aside(lambda: talk.client.get_schema(7))
    assert (found.schema_type, json.loads(found.schema_str)) == ("AVRO", OPPORTUNITY)


async def test_client_is_told_of_a_number_that_is_not_known(talk: Talk) -> None:
    with pytest.raises(registry.error.SchemaRegistryError) as refused:
        await aside(lambda: talk.client.get_schema(8))
    assert (refused.value.http_status_code, refused.value.error_code) == (404, 40403)


async def test_client_is_refused_with_a_wrong_password(talk: Talk) -> None:
    talk.double.token = "reader:changed"
    with pytest.raises(registry.error.SchemaRegistryError) as refused:
        await aside(lambda: talk.client.get_schema(7))
    assert refused.value.http_status_code == 401


async def test_record_of_confluents_serializer_gives_its_event(talk: Talk) -> None:
    event = in_bits(
        change("Opportunity", Amount=1200.5, StageName="Closed Won"), [places("Amount", "StageName")]
    )
    value = await talk.written(event)
    delivery = Delivery("", "", {}, "", value, AT_MS, {"topic": "crm"})
    told = only(read((await talk.reader.plain(delivery)).body))
    assert (told.type, str(told.data["amount"])) == ("sales.deal.won", "1200.5")
    assert told.data.keys() == {"amount", "stage"}
