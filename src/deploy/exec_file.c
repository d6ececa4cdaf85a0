/*-------------------------------------------------------------------------
 *
 * exec_file.c
 *		Runs one schema file statement by statement.
 *
 * The file is parsed once; each statement then runs by itself through SPI, so
 * that an error says which file and which line it comes from, whatever raised
 * it: the parser, a constraint, a nested function or a trigger.  Transaction
 * commands are refused by name: a deployment is all or nothing.
 *
 * IDENTIFICATION
 *	  src/deploy/exec_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"

#include "core/errors.h"

typedef struct FilePosition
{
	const char *path;
	const char *body;
	int			offset;			/* where the running statement starts */
	int			length;			/* its length; 0 while the file is parsed */
} FilePosition;

static int
line_of(const char *body, int offset)
{
	int			line = 1;

	for (int i = 0; i < offset && body[i] != '\0'; i++)
		if (body[i] == '\n')
			line++;
	return line;
}

/*
 * Adds the file and line to whatever error is being raised.  A position the
 * parser or SPI has set is relative to the statement.
 */
static void
file_error_callback(void *arg)
{
	FilePosition *at = (FilePosition *) arg;
	int			position = geterrposition();

	if (position <= 0)
		position = getinternalerrposition();
	else if (at->length == 0)
		errposition(0);
	if (position < 0 || (at->length > 0 && position > at->length))
		position = 0;

	errcontext("schema file \"%s\", line %d", at->path,
			   line_of(at->body, at->offset + Max(position - 1, 0)));
}

/* Byte offset of the first token of a statement: past blanks and comments. */
static int
skip_blanks(const char *body, int offset, int end)
{
	while (offset < end)
	{
		if (strchr(" \t\r\n\f", body[offset]) != NULL)
			offset++;
		else if (body[offset] == '-' && offset + 1 < end && body[offset + 1] == '-')
		{
			while (offset < end && body[offset] != '\n')
				offset++;
		}
		else if (body[offset] == '/' && offset + 1 < end && body[offset + 1] == '*')
		{
			int			depth = 0;

			do
			{
				if (offset + 1 < end && body[offset] == '/' && body[offset + 1] == '*')
					depth++, offset += 2;
				else if (offset + 1 < end && body[offset] == '*' && body[offset + 1] == '/')
					depth--, offset += 2;
				else
					offset++;
			} while (depth > 0 && offset < end);
		}
		else
			break;
	}
	return offset;
}

/*
 * labos.exec_file(path text, body text) returns integer
 *		Runs the statements of body as the current user; returns their number.
 *
 * Errors:	whatever a statement raises, with file and line as CONTEXT;
 *			LB001 for a transaction command
 * SQL:		volatile strict parallel unsafe
 */
PG_FUNCTION_INFO_V1(labos_exec_file);

Datum
labos_exec_file(PG_FUNCTION_ARGS)
{
	char	   *path = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *body = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			body_length = strlen(body);
	FilePosition at = {path, body, 0, 0};
	ErrorContextCallback callback;
	List	   *statements;
	ListCell   *cell;
	int			done = 0;

	callback.callback = file_error_callback;
	callback.arg = &at;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	statements = raw_parser(body, RAW_PARSE_DEFAULT);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	foreach(cell, statements)
	{
		RawStmt    *raw = lfirst_node(RawStmt, cell);
		int			end = raw->stmt_len > 0 ?
			raw->stmt_location + raw->stmt_len : body_length;
		char	   *statement;
		int			result;

		CHECK_FOR_INTERRUPTS();

		at.offset = skip_blanks(body, raw->stmt_location, end);
		at.length = end - at.offset;

		if (IsA(raw->stmt, TransactionStmt))
			ereport(ERROR,
					errcode(ERRCODE_LABOS_DEPLOY),
					errmsg("a schema file cannot contain transaction commands"),
					errhint("Remove BEGIN, COMMIT, ROLLBACK and SAVEPOINT: labos.deploy() is one transaction."));

		statement = pnstrdup(body + at.offset, at.length);
		result = SPI_execute(statement, false, 0);
		if (result < 0)
			elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(result));
		pfree(statement);
		done++;
	}

	SPI_finish();
	error_context_stack = callback.previous;

	PG_RETURN_INT32(done);
}
