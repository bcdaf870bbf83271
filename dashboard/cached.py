"""What the pages share: settings and stores once per process, and facts that may be some seconds old."""

import streamlit as st

from core.settings import Settings, read_settings
from dashboard.live import Live
from dashboard.queries import waiting
from dashboard.queries.waiting import Waiting
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


@st.cache_data(ttl=2, max_entries=1, show_spinner=False)
def tally() -> Waiting:
    """How many parts wait for review. Raises StoreUnavailable, SettingsInvalid."""
    with stores().reading() as connection:
        return waiting.tally(connection)
