"""Pure functions from values to HTML: no database, no Streamlit, no clock."""
