/*-------------------------------------------------------------------------
 *
 * crypto_settings.c
 *		Settings of the cryptographic rooms.
 *
 * What weakens passwords or tokens can be set by a superuser only.  Nothing
 * here reads a key: the postmaster runs this when the library is preloaded,
 * and what it held every backend would inherit.
 *
 * IDENTIFICATION
 *	  src/identity/crypto_settings.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "identity/api_key.h"
#include "identity/crypto.h"
#include "identity/password.h"

int			lb_setting_jwt_leeway = 0;
int			lb_setting_password_scheme = LB_PASSWORD_ARGON2ID;
int			lb_setting_password_policy = LB_POLICY_CLASSIC;
int			lb_setting_password_min_length = 8;
int			lb_setting_argon2_memory = LB_ARGON2_DEFAULT_MEMORY;
int			lb_setting_argon2_iterations = LB_ARGON2_DEFAULT_ITERATIONS;
int			lb_setting_bcrypt_cost = LB_BCRYPT_DEFAULT_COST;
char	   *lb_setting_master_key_file = NULL;
char	   *lb_setting_master_key_previous_file = NULL;
char	   *lb_setting_api_key_environment = NULL;

static const struct config_enum_entry password_schemes[] = {
	{"argon2id", LB_PASSWORD_ARGON2ID, false},
	{"bcrypt", LB_PASSWORD_BCRYPT, false},
	{NULL, 0, false}
};

static const struct config_enum_entry password_policies[] = {
	{"classic", LB_POLICY_CLASSIC, false},
	{"nist", LB_POLICY_NIST, false},
	{NULL, 0, false}
};

static void
define_password_settings(void)
{
	DefineCustomEnumVariable("labos.password_scheme",
							 "Scheme of new password hashes.",
							 "argon2id, or bcrypt for systems that must share hashes.",
							 &lb_setting_password_scheme, LB_PASSWORD_ARGON2ID,
							 password_schemes, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("labos.argon2_memory",
							"Memory of a new Argon2id hash.",
							"Every login that is being checked holds this much.",
							&lb_setting_argon2_memory, LB_ARGON2_DEFAULT_MEMORY,
							LB_ARGON2_MIN_MEMORY, LB_ARGON2_MAX_MEMORY,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("labos.argon2_iterations",
							"Passes of a new Argon2id hash over its memory.",
							NULL,
							&lb_setting_argon2_iterations, LB_ARGON2_DEFAULT_ITERATIONS,
							1, LB_ARGON2_MAX_ITERATIONS,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("labos.bcrypt_cost",
							"Cost of a new bcrypt hash: the base-2 logarithm of its rounds.",
							NULL,
							&lb_setting_bcrypt_cost, LB_BCRYPT_DEFAULT_COST,
							LB_BCRYPT_MIN_COST, LB_BCRYPT_MAX_COST,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("labos.password_policy",
							 "Rules for new passwords.",
							 "classic: length, upper and lower case, digit; nist: length 15, no composition rules. Both refuse common passwords and those with the user's name.",
							 &lb_setting_password_policy, LB_POLICY_CLASSIC,
							 password_policies, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("labos.password_min_length",
							"Characters that a new password must have at least.",
							"The policy nist wants 15 whatever this says.",
							&lb_setting_password_min_length, 8, 8, 64,
							PGC_SUSET, 0, NULL, NULL, NULL);
}

static bool
check_environment(char **newval, void **extra, GucSource source)
{
	if (lb_api_key_environment_ok(*newval, strlen(*newval)))
		return true;
	GUC_check_errdetail("It is a lower-case letter and up to 15 more lower-case letters and digits.");
	return false;
}

void
lb_identity_crypto_init(void)
{
	define_password_settings();
	DefineCustomIntVariable("labos.jwt_leeway",
							"Tolerated difference between our clock and a token issuer's.",
							NULL,
							&lb_setting_jwt_leeway, 0, 0, 60,
							PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable("labos.master_key_file",
							   "File with the key that encrypts stored secrets.",
							   "32 bytes, or 64 hexadecimal digits; outside the data directory, readable by the server's user only.",
							   &lb_setting_master_key_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("labos.master_key_previous_file",
							   "File with the master key before the last rotation.",
							   "Secrets that it sealed can still be opened.",
							   &lb_setting_master_key_previous_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomStringVariable("labos.api_key_environment",
							   "Mark in new API keys: lab_<environment>_...",
							   "live, test or another word: it tells whose key a found one is, and changes nothing else.",
							   &lb_setting_api_key_environment, "live",
							   PGC_SUSET, 0, check_environment, NULL, NULL);
}
