/*
 * Room: parse
 *
 * Readers of file formats. They know no table: the LIMS imports through them.
 */

create function labos.jcamp_parse(
    source text,
    out block integer, out page integer, out page_label text, out title text, out data_type text, out form text,
    out x_name text, out x_unit text, out y_name text, out y_unit text,
    out x_first float8, out x_step float8, out x float8[], out y float8[], out dropped text, out header jsonb)
  returns setof record
  language c immutable strict parallel safe rows 1 cost 10000
  as 'MODULE_PATHNAME', 'labos_jcamp_parse';
comment on function labos.jcamp_parse(text) is
$$Reads a JCAMP-DX file (AFFN, PAC, SQZ, DIF, DUP; NTUPLES, peak tables, LINK blocks)

One row for each data table, with factors applied and units as the file names them; x is null when the axis is even (x_first + i * x_step), NaN in y is a missing point, header stands on the first row of a block. Errors: LB401 with the line for anything malformed, damaged or truncated.$$;

create function labos.csv_parse(
    source text, delimiter text default null,
    out "row" integer, out line integer, out fields text[])
  returns setof record
  language c immutable parallel safe rows 1000 cost 1000
  as 'MODULE_PATHNAME', 'labos_csv_parse';
comment on function labos.csv_parse(text, text) is
$$Reads delimited text (RFC 4180)

One row for each record, header included; an unquoted empty field is null. A null delimiter is found from the first line (comma, semicolon, tab, bar). Errors: LB402 with the line for open quotes and rows of unequal length, 22023 for the delimiter.$$;
