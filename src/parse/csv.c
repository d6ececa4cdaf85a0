/*-------------------------------------------------------------------------
 *
 * csv.c
 *		Reads delimited text (RFC 4180) into rows of fields.
 *
 * Quoted fields may hold delimiters, line breaks and doubled quotes.  An
 * unquoted empty field is null, a quoted one is the empty text.  Every row must
 * have as many fields as the first: a shifted column must not become a result.
 * Empty lines are skipped.  Meaning (names, numbers, units) is the caller's.
 *
 * IDENTIFICATION
 *	  src/parse/csv.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "core/errors.h"

#define MAX_FIELDS	10000		/* of one row */
#define COLUMNS		3			/* row, line, fields */
#define BREATH		0xFFFF		/* bytes between two looks for a cancellation, less one */

typedef struct Csv
{
	const char *at;
	const char *end;
	char		delimiter;
	int			line;			/* of the character at "at" */
	int			row_line;		/* where the row read last starts */
	int			width;			/* fields of the first row, 0 before it */
	Datum	   *fields;
	bool	   *nulls;
	int			count;
	int			room;
	char	   *buffer;			/* of one quoted field */
} Csv;

LB_NORETURN static void fail(int line, const char *reason);

static void
fail(int line, const char *reason)
{
	ereport(ERROR,
			errcode(ERRCODE_LABOS_INVALID_CSV),
			errmsg("invalid CSV: line %d: %s", line, reason),
			errdetail_internal("{\"code\": \"invalid_csv\", \"line\": %d}", line));
	pg_unreachable();
}

static void
add_field(Csv *csv, const char *text, int length, bool is_null)
{
	if (csv->count == csv->room)
	{
		if (csv->room >= MAX_FIELDS)
			fail(csv->line, psprintf("more than %d fields", MAX_FIELDS));
		csv->room = csv->room == 0 ? 64 : Min(csv->room * 2, MAX_FIELDS);
		csv->fields = csv->fields == NULL ? palloc_array(Datum, csv->room)
			: repalloc(csv->fields, sizeof(Datum) * csv->room);
		csv->nulls = csv->nulls == NULL ? palloc_array(bool, csv->room)
			: repalloc(csv->nulls, sizeof(bool) * csv->room);
	}
	csv->nulls[csv->count] = is_null;
	csv->fields[csv->count] = is_null ? (Datum) 0
		: PointerGetDatum(cstring_to_text_with_len(text, length));
	csv->count++;
}

/* A field in quotes; "at" stands on the opening one. */
static void
read_quoted(Csv *csv)
{
	int			opened = csv->line;
	char	   *write = csv->buffer;

	for (csv->at++;; csv->at++)
	{
		if (csv->at >= csv->end)
			fail(opened, "the quote is never closed");
		if (*csv->at == '"')
		{
			if (csv->at + 1 >= csv->end || csv->at[1] != '"')
				break;
			csv->at++;
		}
		else if (*csv->at == '\n')
			csv->line++;
		if (((csv->end - csv->at) & BREATH) == 0)
			CHECK_FOR_INTERRUPTS();
		*write++ = *csv->at;
	}
	csv->at++;
	if (csv->at < csv->end && *csv->at != csv->delimiter && *csv->at != '\n' && *csv->at != '\r')
		fail(csv->line, "text follows a closing quote");
	add_field(csv, csv->buffer, write - csv->buffer, false);
}

static void
read_plain(Csv *csv)
{
	const char *start = csv->at;

	while (csv->at < csv->end && *csv->at != csv->delimiter && *csv->at != '\n' && *csv->at != '\r')
	{
		if (*csv->at == '"')
			fail(csv->line, "a quote stands inside of an unquoted field");
		if (((csv->end - csv->at) & BREATH) == 0)
			CHECK_FOR_INTERRUPTS();
		csv->at++;
	}
	add_field(csv, start, csv->at - start, csv->at == start);
}

/* One row; false at the end of the text.  Skips empty lines before it. */
static bool
read_row(Csv *csv)
{
	csv->count = 0;
	while (csv->at < csv->end && (*csv->at == '\n' || *csv->at == '\r'))
	{
		csv->line += *csv->at == '\n' || csv->at + 1 >= csv->end || csv->at[1] != '\n';
		csv->at++;
	}
	if (csv->at >= csv->end)
		return false;
	csv->row_line = csv->line;
	for (;;)
	{
		if (csv->at < csv->end && *csv->at == '"')
			read_quoted(csv);
		else
			read_plain(csv);
		if (csv->at >= csv->end || *csv->at != csv->delimiter)
			return true;
		csv->at++;
	}
}

/* The delimiter that the first line has most of; comma when it has none. */
static char
guess_delimiter(const char *at, const char *end)
{
	static const char candidates[] = {',', ';', '\t', '|'};
	int			counts[lengthof(candidates)] = {0};
	bool		quoted = false;
	int			best = 0;

	for (; at < end && (quoted || (*at != '\n' && *at != '\r')); at++)
	{
		if (((end - at) & BREATH) == 0)
			CHECK_FOR_INTERRUPTS();
		if (*at == '"')
			quoted = !quoted;
		for (int i = 0; i < lengthof(candidates); i++)
			counts[i] += !quoted && *at == candidates[i];
	}
	for (int i = 1; i < lengthof(candidates); i++)
		if (counts[i] > counts[best])
			best = i;
	return candidates[best];
}

static char
delimiter_argument(text *given)
{
	char		c;

	if (VARSIZE_ANY_EXHDR(given) != 1)
		c = '\0';
	else
		c = *VARDATA_ANY(given);
	if (c == '\0' || c == '"' || c == '\n' || c == '\r' || (unsigned char) c > 126)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("delimiter must be one ASCII character other than a quote or a line break"));
	return c;
}

/*
 * labos.csv_parse(source text, delimiter text) returns setof record
 *		The rows of a delimited text: row (1, 2, ...), line (where it starts), fields.
 *
 * Shapes:	all rows have as many fields as the first; a null delimiter is found
 *			from the first line (comma, semicolon, tab, bar)
 * Errors:	LB402 with the line: open quote, text after a quote, ragged rows; 22023 delimiter
 * Cost:	O(length)
 * Source:	RFC 4180
 * SQL:		immutable, null source gives no rows, parallel safe
 */
PG_FUNCTION_INFO_V1(labos_csv_parse);

Datum
labos_csv_parse(PG_FUNCTION_ARGS)
{
	Csv			csv = {0};
	ReturnSetInfo *rsinfo;
	MemoryContext scratch;
	MemoryContext row_context;
	MemoryContext caller;
	text	   *source;
	int			row = 0;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	source = PG_GETARG_TEXT_PP(0);
	csv.at = VARDATA_ANY(source);
	csv.end = csv.at + VARSIZE_ANY_EXHDR(source);
	if (csv.end - csv.at >= 3 && memcmp(csv.at, "\xEF\xBB\xBF", 3) == 0)
		csv.at += 3;
	csv.delimiter = PG_ARGISNULL(1) ? guess_delimiter(csv.at, csv.end)
		: delimiter_argument(PG_GETARG_TEXT_PP(1));
	csv.line = 1;

	scratch = AllocSetContextCreate(CurrentMemoryContext, "labos csv", ALLOCSET_DEFAULT_SIZES);
	row_context = AllocSetContextCreate(scratch, "labos csv row", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(scratch);
	csv.buffer = palloc(csv.end - csv.at + 1);
	csv.room = 64;
	csv.fields = palloc_array(Datum, csv.room);
	csv.nulls = palloc_array(bool, csv.room);

	for (;;)
	{
		Datum		values[COLUMNS];
		bool		nulls[COLUMNS] = {false, false, false};
		int			dims[1];
		int			lower[1] = {1};

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(row_context);
		if (!read_row(&csv))
			break;
		if (csv.width == 0)
			csv.width = csv.count;
		else if (csv.count != csv.width)
			fail(csv.row_line, psprintf("the row has %d fields, the first has %d", csv.count, csv.width));
		dims[0] = csv.count;
		values[0] = Int32GetDatum(++row);
		values[1] = Int32GetDatum(csv.row_line);
		values[2] = PointerGetDatum(construct_md_array(csv.fields, csv.nulls, 1, dims, lower,
													   TEXTOID, -1, false, TYPALIGN_INT));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return (Datum) 0;
}
