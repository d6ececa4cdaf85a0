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

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "core/errors.h"

typedef struct FilePosition
{
	const char *path;
	const char *body;
	int			offset;			/* where the running statement starts */
	int			length;			/* its length; 0 while the file is parsed */
	const char *statement;		/* its text */
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

/* Byte offset of a character of text; positions in errors count characters. */
static int
byte_offset(const char *text, int characters)
{
	const char *p = text;

	while (characters-- > 0 && *p != '\0')
		p += pg_mblen(p);
	return p - text;
}

/*
 * The position in our own statement of the error being raised, or 0: the query
 * that it counts in may be one of a function that the statement called.
 */
static int
position_in(const char *statement)
{
	MemoryContext before = MemoryContextSwitchTo(TopTransactionContext);
	ErrorData  *error = CopyErrorData();
	int			position = 0;

	if (error->internalpos > 0 && error->internalquery != NULL &&
		strcmp(error->internalquery, statement) == 0)
		position = error->internalpos;
	FreeErrorData(error);
	MemoryContextSwitchTo(before);
	return position;
}

/*
 * Adds the file and line to whatever error is being raised.  While the file is
 * parsed its position counts in the file; later SPI has made it one in a query.
 */
static void
file_error_callback(void *arg)
{
	FilePosition *at = (FilePosition *) arg;
	int			offset = at->offset;
	int			position;

	if (at->length == 0)
	{
		position = geterrposition();
		errposition(0);
		if (position > 0)
			offset = byte_offset(at->body, position - 1);
	}
	else
	{
		position = position_in(at->statement);
		if (position > 0)
			offset += Min(byte_offset(at->statement, position - 1), at->length);
	}
	errcontext("schema file \"%s\", line %d", at->path, line_of(at->body, offset));
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
	FilePosition at = {path, body, 0, 0, NULL};
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
		at.statement = statement = pnstrdup(body + at.offset, at.length);

		if (IsA(raw->stmt, TransactionStmt))
			ereport(ERROR,
					errcode(ERRCODE_LABOS_DEPLOY),
					errmsg("a schema file cannot contain transaction commands"),
					errhint("Remove BEGIN, COMMIT, ROLLBACK and SAVEPOINT: labos.deploy() is one transaction."));

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

/*
 * labos.run_as_owner(statement text, modules text[]) returns void
 *		Runs a statement as lab_owner.  What lab_owner and its members have put
 *		into the schema runs with it, called perhaps by a superuser: no other
 *		role can be set, no trigger be deferred past our return, and no setting
 *		stays changed.
 *
 * Errors:	42704 without the role, 42501 for others than its members
 * SQL:		volatile parallel unsafe
 */
PG_FUNCTION_INFO_V1(labos_run_as_owner);

Datum
labos_run_as_owner(PG_FUNCTION_ARGS)
{
	Oid			types[1] = {TEXTARRAYOID};
	Datum		values[1];
	char		nulls[2] = " ";
	Oid			owner = get_role_oid("lab_owner", false);
	Oid			user;
	int			context;
	int			level;

	if (!is_member_of_role(GetUserId(), owner))
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				errmsg("only lab_owner or a superuser can deploy labos"));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("the statement must not be null"));
	values[0] = PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1);
	if (PG_ARGISNULL(1))
		nulls[0] = 'n';

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	level = NewGUCNestLevel();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(text_to_cstring(PG_GETARG_TEXT_PP(0)), 1, types, values, nulls, false, 0) < 0)
		elog(ERROR, "the statement could not be run");
	SPI_finish();
	AtEOXact_GUC(false, level);
	SetUserIdAndSecContext(user, context);
	PG_RETURN_VOID();
}
