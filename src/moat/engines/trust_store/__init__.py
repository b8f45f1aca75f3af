"""Certificates that make the programs of a sandbox trust the run's own authority.

Every engine needs them. Which files, links and environment variables that takes is decided here
(`certificates`, and `java_truststore` for Java's file format); an engine puts them in place.
"""
