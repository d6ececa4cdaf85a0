/*-------------------------------------------------------------------------
 *
 * secrets_sql.c
 *		Sealing under the configured master key, and its SQL functions.
 *
 * The key file is looked at on every use and read again when it changed, so
 * that a rotation needs a reload only.  A file that is configured but cannot
 * be used is an error: nothing is stored readable by mistake.
 *
 * IDENTIFICATION
 *	  src/identity/secrets_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fmgr.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#include "compat.h"
#include "core/errors.h"
#include "identity/crypto.h"
#include "identity/password.h"
#include "identity/secrets.h"

#define KEY_FILE_MAX	80		/* 64 digits and a line end */
#define SECRET_MAX		(1024 * 1024)	/* bytes */

/* A key file as it was when last read. */
typedef struct KeyFile
{
	char		path[MAXPGPATH];
	struct stat read_as;
	bool		loaded;
	LbMasterKey key;
} KeyFile;

static KeyFile current_file;
static KeyFile previous_file;

/* Reads the file at path; a constant text says why it cannot be used. */
static const char *
read_key_file(const char *path, KeyFile *file, struct stat *now)
{
	uint8		bytes[KEY_FILE_MAX];
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	int			len;
	bool		ok;

	if (fd < 0)
		return "it cannot be opened";
	len = (int) read(fd, bytes, sizeof(bytes));
	CloseTransientFile(fd);
	ok = len > 0 && lb_master_key_parse(bytes, len, &file->key);
	lb_wipe(bytes, sizeof(bytes));
	if (!ok)
		return "it holds neither 32 bytes nor 64 hexadecimal digits";
	strlcpy(file->path, path, sizeof(file->path));
	file->read_as = *now;
	file->loaded = true;
	return NULL;
}

/* The key in the file at path, NULL for an empty path; *problem may be set. */
static const LbMasterKey *
key_of_file(const char *path, KeyFile *file, const char **problem)
{
	struct stat now;

	*problem = NULL;
	if (path == NULL || path[0] == '\0')
		return NULL;
	if (!is_absolute_path(path))
		*problem = "its path is not absolute";
	else if (stat(path, &now) != 0)
		*problem = "it cannot be found";
	else if (!S_ISREG(now.st_mode))
		*problem = "it is no regular file";
	/* As the server wants it of its TLS key: root may lend it to a group. */
	else if ((now.st_mode & (now.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO :
							 S_IRWXG | S_IRWXO)) != 0)
		*problem = "others than the server's user may read it";
	if (*problem != NULL)
		return NULL;

	if (file->loaded && strcmp(file->path, path) == 0 &&
		file->read_as.st_ino == now.st_ino &&
		file->read_as.st_dev == now.st_dev &&
		file->read_as.st_size == now.st_size &&
		file->read_as.st_mtim.tv_sec == now.st_mtim.tv_sec &&
		file->read_as.st_mtim.tv_nsec == now.st_mtim.tv_nsec)
		return &file->key;
	lb_wipe(file, sizeof(KeyFile));
	*problem = read_key_file(path, file, &now);
	return *problem == NULL ? &file->key : NULL;
}

/* The key new secrets are sealed under; NULL when none is configured. */
static const LbMasterKey *
current_key(void)
{
	const char *problem;
	const LbMasterKey *key = key_of_file(lb_setting_master_key_file,
										 &current_file, &problem);

	if (problem != NULL)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_SEALED),
				errmsg("master key file cannot be used"),
				errdetail_log("\"%s\": %s.", lb_setting_master_key_file, problem),
				errhint("The server's administrator finds the reason in the server log and in labos.master_key_state()."));
	return key;
}

uint8 *
lb_secret_seal_current(const uint8 *plain, int len, const char *context,
					   int *out_len)
{
	const LbMasterKey *key = current_key();
	uint8	   *sealed;

	if (len > SECRET_MAX)
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("secret is longer than %d bytes", SECRET_MAX));
	sealed = palloc(len + LB_SEALED_OVERHEAD);
	*out_len = lb_secret_seal(key, plain, len, context, sealed);
	if (*out_len < 0)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_CRYPTO),
				errmsg("could not seal the secret"));
	return sealed;
}

uint8 *
lb_secret_open_current(const uint8 *sealed, int len, const char *context,
					   int *out_len)
{
	const char *problem;
	const LbMasterKey *key = current_key();
	uint8	   *plain = palloc(len + 1);
	LbOpenStatus status = lb_secret_open(key, sealed, len, context, plain, out_len);

	if (status == LB_OPEN_OTHER_KEY)
	{
		key = key_of_file(lb_setting_master_key_previous_file, &previous_file, &problem);
		if (key != NULL)
			status = lb_secret_open(key, sealed, len, context, plain, out_len);
	}
	if (status == LB_OPEN_OTHER_KEY)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_SEALED),
				errmsg("secret is sealed under another master key"),
				errhint("Set labos.master_key_file, or labos.master_key_previous_file, to the file with that key."));
	if (status != LB_OPEN_OK)
		ereport(ERROR,
				errcode(ERRCODE_LABOS_SEALED),
				errmsg("secret cannot be opened"),
				errdetail("It is damaged, or was sealed in another place."));
	return plain;
}

static bytea *
bytea_of(const uint8 *bytes, int len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return result;
}

/*
 * labos.secret_seal(plain bytea, context text) returns bytea
 *
 * Errors:	LB105 the master key file cannot be used, 22023 longer than 1 MiB
 * SQL:		volatile strict parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_secret_seal);

Datum
labos_secret_seal(PG_FUNCTION_ARGS)
{
	bytea	   *plain = PG_GETARG_BYTEA_PP(0);
	char	   *context = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			len;
	uint8	   *sealed = lb_secret_seal_current((uint8 *) VARDATA_ANY(plain),
												VARSIZE_ANY_EXHDR(plain),
												context, &len);

	PG_RETURN_BYTEA_P(bytea_of(sealed, len));
}

/*
 * labos.secret_open(sealed bytea, context text) returns bytea
 *
 * Errors:	LB105 the key is another, the secret is damaged or of another context
 * SQL:		volatile strict parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_secret_open);

Datum
labos_secret_open(PG_FUNCTION_ARGS)
{
	bytea	   *sealed = PG_GETARG_BYTEA_PP(0);
	char	   *context = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			len;
	uint8	   *plain = lb_secret_open_current((uint8 *) VARDATA_ANY(sealed),
											   VARSIZE_ANY_EXHDR(sealed),
											   context, &len);
	bytea	   *result = bytea_of(plain, len);

	lb_wipe(plain, len);
	PG_RETURN_BYTEA_P(result);
}

/*
 * labos.secret_is_encrypted(sealed bytea) returns boolean
 *		False for what was sealed while no master key was configured.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_secret_is_encrypted);

Datum
labos_secret_is_encrypted(PG_FUNCTION_ARGS)
{
	bytea	   *sealed = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_BOOL(lb_secret_is_encrypted((uint8 *) VARDATA_ANY(sealed),
										  VARSIZE_ANY_EXHDR(sealed)));
}

/*
 * labos.master_key_state() returns text
 *		'file', 'absent', or 'invalid: ' and why the file cannot be used.
 *
 * SQL:		volatile parallel restricted
 */
PG_FUNCTION_INFO_V1(labos_master_key_state);

Datum
labos_master_key_state(PG_FUNCTION_ARGS)
{
	const char *problem;
	const LbMasterKey *key = key_of_file(lb_setting_master_key_file,
										 &current_file, &problem);

	if (problem != NULL)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("invalid: %s", problem)));
	PG_RETURN_TEXT_P(cstring_to_text(key != NULL ? "file" : "absent"));
}
