"""Interfaces of Linux that the standard library lacks: inotify, and sockets in deep folders."""
