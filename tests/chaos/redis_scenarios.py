"""Redis"""
