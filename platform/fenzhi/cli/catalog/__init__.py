"""The province's desk without a server (目录离线工具): `fenzhi catalog …`.

column_map.py     what the columns of anybody's discharge file mean
discharges.py     a discharge file, row by row, into sums of equal cases
build.py          `fenzhi catalog build`
code_tables.py    code tables from CSV files
files.py          `fenzhi catalog import|lint|export|diff`
"""
