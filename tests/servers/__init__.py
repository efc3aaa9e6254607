"""Tests against real servers, where the environment names them."""
