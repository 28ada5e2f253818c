"""dlt: a table to files of a local folder, by `sql_database` and the destination `filesystem`.

  run.py URL SCHEMA TABLE FOLDER BACKEND FORMAT
"""

import sys

import dlt
from dlt.sources.sql_database import sql_table

url, schema, table, folder, backend, form = sys.argv[1:]
source = sql_table(credentials=url, schema=schema, table=table, backend=backend)
pipeline = dlt.pipeline("bench", pipelines_dir=f"{folder}/state", destination=dlt.destinations.filesystem(f"file://{folder}/out"), dataset_name="bench")
print(pipeline.run(source, loader_file_format=form))
