/*
 * Room: types
 *
 * Sample codes with a check character, as they are printed on labels:
 * prefix of letters, number, check (SOL-000123-K). No single wrong character
 * and no swap of two neighbours turns a valid code into another.
 */

create function labos.labcode_make(prefix text, number bigint) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_labcode_make';
comment on function labos.labcode_make(text, bigint) is
$$The sample code of a prefix and a number

Prefix of 1 to 8 letters A-Z, number 0 to 999999999999, padded with zeros to six digits or more. Errors: LB203.$$;

create function labos.labcode_check_digit(body text) returns text
  language c immutable strict parallel safe as 'MODULE_PATHNAME', 'labos_labcode_check_digit';
comment on function labos.labcode_check_digit(text) is
$$The check character of ISO 7064 MOD 37,36

Over 0-9 and A-Z; hyphens do not count. Errors: LB203.$$;

create function labos.labcode_valid(code text) returns boolean
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_labcode_valid';
comment on function labos.labcode_valid(text) is
$$Is this exactly a sample code that labcode_make writes?

Never raises; usable in a CHECK constraint.$$;

create function labos.labcode_read(input text) returns text
  language c immutable strict parallel safe leakproof as 'MODULE_PATHNAME', 'labos_labcode_read';
comment on function labos.labcode_read(text) is
$$The sample code that was meant

Puts small letters, spaces and missing hyphens right, and O, I, L in the number. Null when that is no valid code.$$;
