"""What the pages ask of the database: plain SQL functions that return frozen dataclasses and know no Streamlit."""
