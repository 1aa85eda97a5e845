"""scrapes"""
