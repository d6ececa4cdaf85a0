/*
 * Room: password
 *
 * Password hashes (Argon2id, bcrypt) and the rules for new passwords. Granted
 * to nobody but lab_owner: a caller who may hash may also guess.
 *
 * Holds    password_hash, password_verify, password_dummy_verify,
 *          password_needs_rehash, password_problems, bcrypt
 * Used by  identity
 */

create function labos.password_hash(password text, scheme text default null) returns text
  language c volatile parallel restricted as 'MODULE_PATHNAME', 'labos_password_hash';
comment on function labos.password_hash(text, text) is
$$Hashes a password

Argon2id or bcrypt, by labos.password_scheme unless named, over the NFC of the text, with a new salt. Errors: 422 `password_empty`, `password_too_long`, `password_control_character`; 22023 for an unknown scheme.$$;

create function labos.password_verify(password text, hash text) returns boolean
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_password_verify';
comment on function labos.password_verify(text, text) is
$$Does the password match the hash?

Takes $argon2id$, $2a$, $2b$ and $2y$; anything else, and parameters beyond 256 MiB, 10 passes, 16 lanes or bcrypt cost 14, is false at once.$$;

create function labos.password_dummy_verify(password text) returns boolean
  language c volatile strict parallel restricted as 'MODULE_PATHNAME', 'labos_password_dummy_verify';
comment on function labos.password_dummy_verify(text) is
$$False, after the work of a verification

To be called for an unknown user, so that the answer takes as long as a wrong password.$$;

create function labos.password_needs_rehash(hash text) returns boolean
  language c stable strict parallel safe as 'MODULE_PATHNAME', 'labos_password_needs_rehash';
comment on function labos.password_needs_rehash(text) is
$$Is the hash of another scheme or weaker than the settings?

Then the next successful login replaces it.$$;

create function labos.password_problems(password text, context text[] default null) returns text[]
  language c stable parallel safe as 'MODULE_PATHNAME', 'labos_password_problems';
comment on function labos.password_problems(text, text[]) is
$$What is wrong with a new password

Empty when nothing is; otherwise some of empty, control_character, too_short, too_long, no_upper_case, no_lower_case, no_digit, contains_name, common. context: the user's e-mail, names and organisation; parts of less than four characters do not count.$$;

create function labos.bcrypt(password bytea, setting text) returns text
  language c immutable strict parallel restricted as 'MODULE_PATHNAME', 'labos_bcrypt';
comment on function labos.bcrypt(bytea, text) is
$$bcrypt of bytes, without any rule

For imports and tests: setting is $2a$, $2b$, $2x$ or $2y$, a cost from 04 to 14 and a salt; null when it is not. Only the first 72 bytes count.$$;

revoke all on function
  labos.password_hash(text, text), labos.password_verify(text, text), labos.password_dummy_verify(text),
  labos.password_needs_rehash(text), labos.password_problems(text, text[]), labos.bcrypt(bytea, text)
  from public;
