/*
 * Room: secrets
 *
 * Encryption of what is stored: private keys, second factors. The master key is
 * a file outside the data directory (labos.master_key_file), so that a dump or a
 * base backup alone opens nothing. Granted to nobody but lab_owner.
 *
 * Holds    secret_seal, secret_open, secret_is_encrypted, master_key_state
 * Used by  identity (signing keys, MFA factors), doctor()
 */

create function labos.secret_seal(plain bytea, context text) returns bytea
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_secret_seal';
comment on function labos.secret_seal(bytea, text) is
$$Encrypts a secret for storage

AES-256-GCM under the master key; context (what it is and whose, such as 'signing_keys/kid') must be given again to open it. Without labos.master_key_file the result is only marked, not encrypted. Errors: LB105 when the file cannot be used.$$;

create function labos.secret_open(sealed bytea, context text) returns bytea
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_secret_open';
comment on function labos.secret_open(bytea, text) is
$$Opens a stored secret

Errors: LB105 when it is damaged, was sealed with another context, or under a key that is neither in labos.master_key_file nor in labos.master_key_previous_file.$$;

create function labos.secret_is_encrypted(sealed bytea) returns boolean
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_secret_is_encrypted';
comment on function labos.secret_is_encrypted(bytea) is
$$Is a stored secret encrypted?

False for one that was sealed while no master key was configured: seal it again.$$;

create function labos.master_key_state() returns text
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_master_key_state';
comment on function labos.master_key_state() is
$$Is there a master key?

'file', 'absent', or 'invalid: ' and why the file cannot be used.$$;

revoke all on function
  labos.secret_seal(bytea, text), labos.secret_open(bytea, text), labos.secret_is_encrypted(bytea), labos.master_key_state()
  from public;
