"""What the pages share, once per process: settings, stores, and the maker of the live document with its own ages."""

import streamlit as st

from core.settings import Settings, read_settings
from dashboard.live import Live
from dashboard.stores import Stores


@st.cache_resource(show_spinner=False)
def settings() -> Settings:
    """The settings of this process. Raises SettingsInvalid."""
    return read_settings()


@st.cache_resource(show_spinner=False)
def stores() -> Stores:
    """The database and the pictures; opened when first used."""
    return Stores(settings())


@st.cache_resource(show_spinner=False)
def live() -> Live:
    """The maker of the live document."""
    return Live(stores())
