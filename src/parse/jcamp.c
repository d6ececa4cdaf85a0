/*-------------------------------------------------------------------------
 *
 * jcamp.c
 *		Reads JCAMP-DX files (4.24 to 6.0): spectra, peak tables, NTUPLES
 *		pages and LINK blocks.
 *
 * The file is read once, line by line, without recursion: open blocks stand on
 * a small stack, a labelled record is a span of lines, and the data records
 * (XYDATA, XYPOINTS, PEAK TABLE, DATA TABLE) go through asdf.c.  One row is
 * made of each data record; a block without data makes one row with its header.
 *
 * What is checked: the check values of the difference form, the abscissa of
 * every line against the number of ordinates before it, NPOINTS and VAR_DIM
 * against what was read, ##END= of every block.  A damaged or truncated file
 * is an error that names the line.
 *
 * A short file can announce much: "S9999999" is ten million points, and a title
 * stands on every row.  Points are counted over the whole file, and what is
 * repeated must be short.
 *
 * Source: McDonald and Wilks, Appl. Spectrosc. 42 (1988) 151-162; Davies and
 * Lampen, ibid. 47 (1993) 1093-1099; Lampen et al., ibid. 48 (1994) 1545-1552.
 *
 * IDENTIFICATION
 *	  src/parse/jcamp.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "compat.h"
#include "core/errors.h"
#include "parse/asdf.h"

#define MAX_DEPTH		32		/* nested LINK blocks */
#define MAX_RECORDS		5000	/* labelled records of one block */
#define MAX_VARIABLES	32		/* NTUPLES columns */
#define MAX_REPEATED	1000	/* bytes of a text that stands on every row */

/* Part of the source text. */
typedef struct Span
{
	const char *at;
	const char *end;
} Span;

/* A labelled data record; the value may run over several lines. */
typedef struct Record
{
	char	   *label;			/* normalised: upper case, no space - / _ */
	char	   *value;			/* comments taken out, trimmed */
} Record;

typedef struct Block
{
	int			number;			/* 1, 2, ... in the order of ##TITLE= */
	int			page;			/* pages emitted */
	char	   *page_label;		/* of ##PAGE=, or NULL */
	int			page_points;	/* ##NPOINTS= after ##PAGE=, or -1 */
	Record	   *records;
	int			count;
	int			room;
} Block;

/* One of the variables of a data record: an axis or a response. */
typedef struct Variable
{
	char	   *name;
	char	   *unit;
	double		factor;
	double		first;			/* NaN when not given */
	double		last;
	int			points;			/* -1 when not given */
} Variable;

typedef struct Reader
{
	const char *at;				/* the rest of the text */
	const char *end;
	int			line;			/* number of the line read last */
	Block		stack[MAX_DEPTH];
	int			depth;
	int			blocks;
	int64		points;			/* emitted */
	ReturnSetInfo *rsinfo;
	MemoryContext table_context;	/* reset after each data record */
	MemoryContext row_context;	/* reset after each row */
} Reader;

/* What the row function returns; the order is that of the SQL declaration. */
enum
{
	COL_BLOCK, COL_PAGE, COL_PAGE_LABEL, COL_TITLE, COL_DATA_TYPE, COL_FORM,
	COL_X_NAME, COL_X_UNIT, COL_Y_NAME, COL_Y_UNIT, COL_X_FIRST, COL_X_STEP,
	COL_X, COL_Y, COL_DROPPED, COL_HEADER, COLUMNS
};

/* --- lines and records --------------------------------------------------- */

/* Next line without its break and comment; false at the end of the text. */
static bool
next_line(Reader *r, Span *line)
{
	const char *p = r->at;
	const char *stop;

	if (p >= r->end)
		return false;
	CHECK_FOR_INTERRUPTS();
	while (p < r->end && *p != '\n' && *p != '\r')
		p++;
	line->at = r->at;
	line->end = p;
	if (p < r->end)
		p += (*p == '\r' && p + 1 < r->end && p[1] == '\n') ? 2 : 1;
	r->at = p;
	r->line++;

	for (stop = line->at; (stop = memchr(stop, '$', line->end - stop)) != NULL; stop++)
		if (stop + 1 < line->end && stop[1] == '$')
		{
			line->end = stop;
			break;
		}
	while (line->end > line->at && (line->end[-1] == ' ' || line->end[-1] == '\t'))
		line->end--;
	return true;
}

static bool
starts_record(Span line)
{
	return line.end - line.at >= 2 && line.at[0] == '#' && line.at[1] == '#';
}

/* Is the next line the start of a record, or the end of the text? */
static bool
at_record(Reader *r)
{
	const char *p = r->at;

	return p >= r->end || (p + 1 < r->end && p[0] == '#' && p[1] == '#');
}

/* "##LABEL= value" to its two halves. */
static void
split_record(Reader *r, Span line, char **label, Span *value)
{
	const char *equals = memchr(line.at, '=', line.end - line.at);
	const char *stop = equals ? equals : line.end;
	char	   *write;

	if (stop - line.at > 258)
		lb_jcamp_fail(r->line, "the label is longer than 256 characters");
	write = *label = palloc(stop - line.at + 1);
	for (const char *p = line.at + 2; p < stop; p++)
		if (*p != ' ' && *p != '\t' && *p != '-' && *p != '/' && *p != '_')
			*write++ = (*p >= 'a' && *p <= 'z') ? *p - 'a' + 'A' : *p;
	*write = '\0';
	/* Some programs end with a bare ##END. */
	if (equals == NULL && strcmp(*label, "END") != 0)
		lb_jcamp_fail(r->line, "a label has no \"=\"");
	value->at = equals ? equals + 1 : line.end;
	value->end = line.end;
	while (value->at < value->end && (*value->at == ' ' || *value->at == '\t'))
		value->at++;
}

static void
add_record(Reader *r, Block *block, char *label, char *value)
{
	if (block->count == block->room)
	{
		if (block->room >= MAX_RECORDS)
			lb_jcamp_fail(r->line, "a block has more than %d records", MAX_RECORDS);
		block->room = block->room == 0 ? 32 : Min(block->room * 2, MAX_RECORDS);
		block->records = block->records == NULL
			? palloc_array(Record, block->room)
			: repalloc(block->records, sizeof(Record) * block->room);
	}
	block->records[block->count].label = label;
	block->records[block->count].value = value;
	block->count++;
}

/* The value of a text record with its continuation lines. */
static char *
read_text_value(Reader *r, Span first)
{
	StringInfoData text;
	Span		line;

	initStringInfo(&text);
	appendBinaryStringInfo(&text, first.at, first.end - first.at);
	while (!at_record(r) && next_line(r, &line))
	{
		appendStringInfoChar(&text, '\n');
		appendBinaryStringInfo(&text, line.at, line.end - line.at);
	}
	while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == ' '))
		text.data[--text.len] = '\0';
	return text.data;
}

/* --- values of the header ------------------------------------------------ */

/* The value of a record of the block; NULL when absent or empty. */
static const char *
header(const Block *block, const char *label)
{
	for (int i = block->count - 1; i >= 0; i--)
		if (strcmp(block->records[i].label, label) == 0)
			return block->records[i].value[0] ? block->records[i].value : NULL;
	return NULL;
}

/* Its number; "absent" when the record is not there. */
static double
header_number(Reader *r, const Block *block, const char *label, double absent)
{
	const char *text = header(block, label);
	double		value;

	if (text == NULL)
		return absent;
	if (!lb_affn_number(text, text + strlen(text), &value))
		lb_jcamp_fail(r->line, "##%s= is not a number", label);
	return value;
}

/* A number of points: -1 when absent. */
static int
point_count(Reader *r, const char *label, double value)
{
	if (value != rint(value) || value < -1 || value > LB_JCAMP_MAX_POINTS)
		lb_jcamp_fail(r->line, "##%s= is not a number of points", label);
	return (int) value;
}

/* Element i of a comma-separated record, trimmed; NULL when not there. */
static char *
header_element(const Block *block, const char *label, int i)
{
	const char *at = header(block, label);
	const char *end;

	for (; at != NULL && i > 0; i--)
	{
		at = strchr(at, ',');
		if (at != NULL)
			at++;
	}
	if (at == NULL)
		return NULL;
	end = at + strcspn(at, ",");
	while (at < end && isspace((unsigned char) *at))
		at++;
	while (end > at && isspace((unsigned char) end[-1]))
		end--;
	return end > at ? pnstrdup(at, end - at) : NULL;
}

static double
element_number(Reader *r, const Block *block, const char *label, int i, double absent)
{
	char	   *text = header_element(block, label, i);
	double		value;

	if (text == NULL)
		return absent;
	if (!lb_affn_number(text, text + strlen(text), &value))
		lb_jcamp_fail(r->line, "element %d of ##%s= is not a number", i + 1, label);
	return value;
}

/* --- variables of a data record ------------------------------------------ */

/* The variable of an ordinary block: X or Y. */
static Variable
block_variable(Reader *r, const Block *block, char axis)
{
	Variable	v;
	bool		x = axis == 'X';

	v.name = x ? "X" : "Y";
	v.unit = (char *) header(block, x ? "XUNITS" : "YUNITS");
	v.factor = header_number(r, block, x ? "XFACTOR" : "YFACTOR", 1.0);
	v.first = x ? header_number(r, block, "FIRSTX", get_float8_nan()) : get_float8_nan();
	v.last = x ? header_number(r, block, "LASTX", get_float8_nan()) : get_float8_nan();
	v.points = point_count(r, "NPOINTS", header_number(r, block, "NPOINTS", -1));
	return v;
}

/* The variable of an NTUPLES block with the given symbol. */
static Variable
tuple_variable(Reader *r, const Block *block, const char *symbol)
{
	Variable	v;

	for (int i = 0; i < MAX_VARIABLES; i++)
	{
		char	   *found = header_element(block, "SYMBOL", i);

		if (found == NULL || strcmp(found, symbol) != 0)
			continue;
		v.name = header_element(block, "VARNAME", i);
		if (v.name == NULL)
			v.name = found;
		v.unit = header_element(block, "UNITS", i);
		v.factor = element_number(r, block, "FACTOR", i, 1.0);
		v.first = element_number(r, block, "FIRST", i, get_float8_nan());
		v.last = element_number(r, block, "LAST", i, get_float8_nan());
		v.points = point_count(r, "VAR_DIM", element_number(r, block, "VARDIM", i, -1));
		if (block->page_points >= 0)
			v.points = block->page_points;
		return v;
	}
	lb_jcamp_fail(r->line, "the symbol \"%s\" is not in ##SYMBOL=", symbol);
}

/* The shape of a data record: "(X++(Y..Y))" or "(XY..XY)". */
typedef struct Form
{
	bool		even;			/* X++: abscissas count up */
	char	   *x;				/* symbols */
	char	   *y;
	int			columns;		/* of a group, when not even */
} Form;

static bool
symbol_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static Form
read_form(Reader *r, Span value)
{
	Form		form = {0};
	char	   *clean = palloc(value.end - value.at + 1);
	char	   *write = clean;
	const char *p = clean;
	const char *start;

	for (const char *q = value.at; q < value.end; q++)
		if (*q != ' ' && *q != '\t')
			*write++ = *q;
	*write = '\0';
	value.at = clean;
	value.end = write;
	if (p >= value.end || *p++ != '(')
		lb_jcamp_fail(r->line, "the form of the data is not given");
	for (start = p; p < value.end && symbol_char(*p); p++)
		;
	if (p + 2 < value.end && p > start && p[0] == '+' && p[1] == '+' && p[2] == '(')
	{
		form.even = true;
		form.x = pnstrdup(start, p - start);
		p += 3;
		for (start = p; p < value.end && symbol_char(*p); p++)
			;
		form.y = pnstrdup(start, p - start);
	}
	else
	{
		/* One letter, perhaps with digits, for each column. */
		for (const char *q = start; q < p; q++)
			if (*q >= 'A' && *q <= 'Z')
			{
				const char *stop = q + 1;

				while (stop < p && *stop >= '0' && *stop <= '9')
					stop++;
				if (form.columns == 0)
					form.x = pnstrdup(q, stop - q);
				else if (form.columns == 1)
					form.y = pnstrdup(q, stop - q);
				form.columns++;
			}
		if (form.columns < 2)
			form.y = NULL;
	}
	if (p + 2 >= value.end || p[0] != '.' || p[1] != '.' || memchr(p, ')', value.end - p) == NULL ||
		form.y == NULL || form.y[0] == '\0')
		lb_jcamp_fail(r->line, "the form of the data is not known");
	return form;
}

/* --- rows ---------------------------------------------------------------- */

static Datum
header_json(const Block *block)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < block->count; i++)
	{
		JsonbValue	text;

		text.type = jbvString;
		text.val.string.val = block->records[i].label;
		text.val.string.len = strlen(block->records[i].label);
		pushJsonbValue(&state, WJB_KEY, &text);
		text.val.string.val = block->records[i].value;
		text.val.string.len = strlen(block->records[i].value);
		pushJsonbValue(&state, WJB_VALUE, &text);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(object));
}

static void
set_text(Reader *r, Datum *values, bool *nulls, int column, const char *text)
{
	if (text != NULL && strlen(text) > MAX_REPEATED)
		lb_jcamp_fail(r->line, "a title, name or unit is longer than %d bytes", MAX_REPEATED);
	nulls[column] = text == NULL;
	if (text != NULL)
		values[column] = CStringGetTextDatum(text);
}

static void
set_number(Datum *values, bool *nulls, int column, double number)
{
	nulls[column] = isnan(number);
	values[column] = Float8GetDatum(number);
}

/* What one data record gave; x is NULL when the axis is even. */
typedef struct Table
{
	const char *form;
	Variable	x_variable;
	Variable	y_variable;
	double		x_first;
	double		x_step;
	const double *x;
	const double *y;
	int			count;
	const char *dropped;
} Table;

/* Stores a row; "table" is NULL for a block without data. */
static void
emit(Reader *r, Block *block, const Table *table)
{
	Datum		values[COLUMNS] = {0};
	bool		nulls[COLUMNS];
	MemoryContext caller = MemoryContextSwitchTo(r->row_context);

	memset(nulls, true, sizeof(nulls));
	block->page++;
	nulls[COL_BLOCK] = nulls[COL_PAGE] = false;
	values[COL_BLOCK] = Int32GetDatum(block->number);
	values[COL_PAGE] = Int32GetDatum(block->page);
	set_text(r, values, nulls, COL_PAGE_LABEL, block->page_label);
	set_text(r, values, nulls, COL_TITLE, header(block, "TITLE"));
	set_text(r, values, nulls, COL_DATA_TYPE, header(block, "DATATYPE"));
	/* The header is long and pages are many: it stands on the first row of a block. */
	if (block->page == 1)
	{
		nulls[COL_HEADER] = false;
		values[COL_HEADER] = header_json(block);
	}
	if (table != NULL)
	{
		set_text(r, values, nulls, COL_FORM, table->form);
		set_text(r, values, nulls, COL_X_NAME, table->x_variable.name);
		set_text(r, values, nulls, COL_X_UNIT, table->x_variable.unit);
		set_text(r, values, nulls, COL_Y_NAME, table->y_variable.name);
		set_text(r, values, nulls, COL_Y_UNIT, table->y_variable.unit);
		set_number(values, nulls, COL_X_FIRST, table->x_first);
		set_number(values, nulls, COL_X_STEP, table->x_step);
		if (table->x != NULL)
		{
			nulls[COL_X] = false;
			values[COL_X] = lb_points_array(table->x, table->count);
		}
		nulls[COL_Y] = false;
		values[COL_Y] = lb_points_array(table->y, table->count);
		set_text(r, values, nulls, COL_DROPPED, table->dropped);
	}
	MemoryContextSwitchTo(caller);
	tuplestore_putvalues(r->rsinfo->setResult, r->rsinfo->setDesc, values, nulls);
	MemoryContextReset(r->row_context);
}

/* --- data records -------------------------------------------------------- */

/*
 * Scales values in place; NaN stays.  A factor such as 0.0001 is the rounded
 * inverse of an integer: dividing by the integer gives 1.1663 where
 * multiplying gives 1.1663000000000001.
 */
static void
scale(Reader *r, double *values, int n, double factor)
{
	double		inverse = rint(1.0 / factor);
	bool		divide = fabs(factor) < 1.0 && inverse != 0.0 && isfinite(inverse) && 1.0 / inverse == factor;

	for (int i = 0; i < n; i++)
	{
		values[i] = divide ? values[i] / inverse : values[i] * factor;
		if (isinf(values[i]))
			lb_jcamp_fail(r->line, "a value is out of range after scaling");
	}
}

static void
check_count(Reader *r, int wanted, int found)
{
	r->points += found;
	if (r->points > LB_JCAMP_MAX_POINTS)
		lb_jcamp_fail(r->line, "the file has more than %d points", LB_JCAMP_MAX_POINTS);
	if (wanted >= 0 && wanted != found)
		lb_jcamp_fail(r->line, "the header announces %d points, the data have %d", wanted, found);
}

/*
 * Compares the abscissa of a line with the one before and the ordinates
 * between them: a lost or doubled line shows here.  Abscissas are printed
 * rounded, hence the tolerance of one step and one unit of the last digit.
 */
static void
check_abscissa(Reader *r, const LbAsdf *t, double factor, double step, double before, int before_index)
{
	double		wanted = before + (t->x_index - before_index) * step;
	double		slack = fabs(step) + t->x_resolution * fabs(factor);

	if (fabs(t->x * factor - wanted) > slack * 1.0001)
		lb_jcamp_fail(r->line, "the abscissa is %.10g where the points before it lead to %.10g",
					  t->x * factor, wanted);
}

/* (X++(Y..Y)): ordinates at even steps. */
static void
read_even_table(Reader *r, Block *block, Table *table)
{
	LbAsdf		t = {{0}};
	Span		line;
	Variable   *x = &table->x_variable;
	double		step = get_float8_nan();
	double		before = 0;
	int			before_index = -1;
	double		first = x->first;

	if (x->points > 1 && !isnan(x->first) && !isnan(x->last))
		step = (x->last - x->first) / (x->points - 1);
	else
		step = header_number(r, block, "DELTAX", get_float8_nan());

	while (!at_record(r) && next_line(r, &line))
	{
		int			count = t.y.count;
		LbAsdfMode	mode = t.mode;

		lb_asdf_line(&t, line.at, line.end, r->line);
		if (!isfinite(t.x * x->factor))
			lb_jcamp_fail(r->line, "an abscissa is out of range");
		if (t.y.count == count && t.mode == mode)
			continue;			/* an empty line */
		if (isnan(first))
			first = t.x * x->factor;
		if (before_index >= 0 && isnan(step) && t.x_index > before_index)
			step = (t.x * x->factor - before) / (t.x_index - before_index);
		if (before_index >= 0 && !isnan(step))
			check_abscissa(r, &t, x->factor, step, before, before_index);
		before = t.x * x->factor;
		before_index = t.x_index;
	}
	check_count(r, x->points, t.y.count);
	if (isnan(step) && t.y.count > 1 && !isnan(first) && !isnan(x->last))
		step = (x->last - first) / (t.y.count - 1);
	if (isnan(step) && t.y.count > 1)
		lb_jcamp_fail(r->line, "the step of the abscissa is not given");
	scale(r, t.y.values, t.y.count, table->y_variable.factor);
	table->x_first = first;
	table->x_step = isnan(step) ? 0.0 : step;
	table->y = t.y.values;
	table->count = t.y.count;
	emit(r, block, table);
	if (t.y.values)
		pfree(t.y.values);
}

/* (XY..XY): points, peaks; further columns are dropped and named. */
static void
read_point_table(Reader *r, Block *block, Table *table, int columns)
{
	LbPoints	all = {0};
	Span		line;
	double	   *x;
	double	   *y;
	int			n;

	while (!at_record(r) && next_line(r, &line))
		lb_affn_line(&all, line.at, line.end, r->line);
	if (all.count % columns != 0)
		lb_jcamp_fail(r->line, "%d numbers do not make groups of %d", all.count, columns);
	n = all.count / columns;
	check_count(r, table->x_variable.points, n);
	x = palloc_array(double, Max(n, 1));
	y = palloc_array(double, Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		x[i] = all.values[i * columns];
		y[i] = all.values[i * columns + 1];
	}
	scale(r, x, n, table->x_variable.factor);
	scale(r, y, n, table->y_variable.factor);
	for (int i = 0; i < n; i++)
		if (isnan(x[i]))
			lb_jcamp_fail(r->line, "point %d has no abscissa", i + 1);
	table->x_first = n > 0 ? x[0] : get_float8_nan();
	table->x_step = get_float8_nan();
	table->x = x;
	table->y = y;
	table->count = n;
	emit(r, block, table);
	pfree(x);
	pfree(y);
	if (all.values)
		pfree(all.values);
}

static void
read_data(Reader *r, Block *block, const char *label, Span value)
{
	Table		table = {0};
	MemoryContext caller = MemoryContextSwitchTo(r->table_context);
	Form		form = read_form(r, value);
	bool		tuples = strcmp(label, "DATATABLE") == 0;

	table.form = tuples ? "NTUPLES"
		: strcmp(label, "PEAKTABLE") == 0 ? "PEAK TABLE" : label;
	table.x_variable = tuples ? tuple_variable(r, block, form.x) : block_variable(r, block, 'X');
	table.y_variable = tuples ? tuple_variable(r, block, form.y) : block_variable(r, block, 'Y');
	if (form.columns > 2)
		table.dropped = "columns after the second";
	if (form.even)
		read_even_table(r, block, &table);
	else
		read_point_table(r, block, &table, form.columns);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(r->table_context);
}

/* --- blocks -------------------------------------------------------------- */

static void
open_block(Reader *r)
{
	Block	   *block;

	if (r->depth == MAX_DEPTH)
		lb_jcamp_fail(r->line, "blocks are nested deeper than %d", MAX_DEPTH);
	block = &r->stack[r->depth++];
	memset(block, 0, sizeof(Block));
	block->number = ++r->blocks;
	block->page_points = -1;
}

static void
close_block(Reader *r)
{
	Block	   *block;

	if (r->depth == 0)
		lb_jcamp_fail(r->line, "##END= closes no block");
	block = &r->stack[--r->depth];
	if (block->page == 0)
		emit(r, block, NULL);
	for (int i = 0; i < block->count; i++)
	{
		pfree(block->records[i].label);
		pfree(block->records[i].value);
	}
	if (block->records)
		pfree(block->records);
}

static void
read_record(Reader *r, Span line)
{
	Block	   *block;
	char	   *label;
	char	   *text;
	Span		value;

	split_record(r, line, &label, &value);
	if (strcmp(label, "TITLE") == 0)
		open_block(r);
	else if (r->depth == 0)
		lb_jcamp_fail(r->line, r->blocks == 0 ? "the file does not begin with ##TITLE="
					  : "there is a record after the last ##END=");
	if (strcmp(label, "END") == 0)
	{
		close_block(r);
		return;
	}
	block = &r->stack[r->depth - 1];
	if (strcmp(label, "XYDATA") == 0 || strcmp(label, "XYPOINTS") == 0 ||
		strcmp(label, "PEAKTABLE") == 0 || strcmp(label, "DATATABLE") == 0)
	{
		read_data(r, block, label, value);
		return;
	}
	text = read_text_value(r, value);
	if (strcmp(label, "PAGE") == 0)
	{
		block->page_label = text;
		block->page_points = -1;
		return;
	}
	if (label[0] != '\0')		/* "##=" is a comment */
		add_record(r, block, label, text);
	if (strcmp(label, "NPOINTS") == 0 && block->page_label != NULL)
		block->page_points = point_count(r, label, header_number(r, block, label, -1));
}

static void
read_file(Reader *r)
{
	Span		line;

	/* A byte order mark is no part of the text. */
	if (r->end - r->at >= 3 && memcmp(r->at, "\xEF\xBB\xBF", 3) == 0)
		r->at += 3;
	while (next_line(r, &line))
	{
		if (starts_record(line))
			read_record(r, line);
		else if (line.end > line.at)
			lb_jcamp_fail(r->line, r->blocks == 0 ? "the file does not begin with ##TITLE="
						  : "text stands outside of a record");
	}
	if (r->blocks == 0)
		lb_jcamp_fail(Max(r->line, 1), "the file is empty");
	if (r->depth > 0)
		lb_jcamp_fail(r->line, "the file ends before ##END=");
}

/*
 * labos.jcamp_parse(source text) returns setof record
 *		The data tables of a JCAMP-DX file, one row each.
 *
 * Shapes:	x NULL when the axis is even (x_first, x_step), else as long as y;
 *			NaN in y where the file says '?'
 * Units:	as the file says (x_unit, y_unit); factors are applied
 * Errors:	LB401 with the line: malformed, damaged, truncated, too large
 * Cost:	O(length), 8 bytes a point; at most 10 million points a file
 * Source:	see the head of this file
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_jcamp_parse);

Datum
labos_jcamp_parse(PG_FUNCTION_ARGS)
{
	text	   *source = PG_GETARG_TEXT_PP(0);
	Reader	   *r = palloc0_object(Reader);
	MemoryContext scratch;
	MemoryContext caller;

	InitMaterializedSRF(fcinfo, 0);
	r->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	if (r->rsinfo->setDesc->natts != COLUMNS)
		elog(ERROR, "jcamp_parse returns %d columns", COLUMNS);
	r->at = VARDATA_ANY(source);
	r->end = r->at + VARSIZE_ANY_EXHDR(source);

	scratch = AllocSetContextCreate(CurrentMemoryContext, "labos jcamp", ALLOCSET_DEFAULT_SIZES);
	r->table_context = AllocSetContextCreate(scratch, "labos jcamp table", ALLOCSET_DEFAULT_SIZES);
	r->row_context = AllocSetContextCreate(scratch, "labos jcamp row", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(scratch);
	read_file(r);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	return (Datum) 0;
}
