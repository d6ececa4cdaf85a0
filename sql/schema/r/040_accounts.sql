/*
 * Room: identity, second floor (repeatable half)
 *
 * Row security of the private tables of 040, and the one way to make and to
 * consume a one-time token.
 *
 * Holds    one_time_token_make, one_time_token_use
 * Needs    020, 021
 * Used by  the calls of sign-in, mail and invitations
 */

do $do$
declare
  v_table text;
begin
  foreach v_table in array array['use_guard', 'one_time_tokens', 'mfa_factors', 'mfa_backup_codes', 'known_devices', 'login_decoys'] loop
    execute format('alter table lab_private.%I enable row level security', v_table);
    execute format('alter table lab_private.%I force row level security', v_table);
    execute format('drop policy if exists owner_all on lab_private.%I', v_table);
    execute format('create policy owner_all on lab_private.%I for all to lab_owner using (true) with check (true)', v_table);
  end loop;
end
$do$;

create or replace function lab_private.one_time_token_make(
  purpose text, user_id uuid, lifetime interval, org_id uuid default null, email text default null, payload jsonb default '{}') returns text
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token text := labos.random_token();
  v_id    uuid;
begin
  insert into lab_private.one_time_tokens (token_sha256, purpose, user_id, org_id, email, password_changed_at, payload, expires_at)
  values (sha256(convert_to(v_token, 'UTF8')), one_time_token_make.purpose, one_time_token_make.user_id, one_time_token_make.org_id,
          one_time_token_make.email,
          (select c.changed_at from lab_private.credentials c where c.user_id = one_time_token_make.user_id),
          one_time_token_make.payload, clock_timestamp() + one_time_token_make.lifetime)
  returning id into v_id;
  insert into lab_private.use_guard (id) values (v_id);
  return v_token;
end
$$;
comment on function lab_private.one_time_token_make(text, uuid, interval, uuid, text, jsonb) is
  'Makes a one-time token of 256 bits; only its digest is kept. The token is known to the caller only.';

create or replace function lab_private.one_time_token_find(token text, purpose text) returns lab_private.one_time_tokens
  language sql stable
  set search_path to pg_catalog, pg_temp
as $$
  select t.*
  from lab_private.one_time_tokens t
  left join lab_data.users u on u.id = t.user_id
  left join lab_private.credentials c on c.user_id = t.user_id
  where one_time_token_find.token ~ '^[A-Za-z0-9_-]{43}$'
    and t.token_sha256 = sha256(convert_to(one_time_token_find.token, 'UTF8')) and t.purpose = one_time_token_find.purpose
    and t.used_at is null and t.revoked_at is null and t.expires_at > clock_timestamp()
    -- Bound to the address and the password it was made for (P62).
    and (t.user_id is null or (u.deleted_at is null and u.is_active and t.password_changed_at is not distinct from c.changed_at
         and (t.email is null or t.purpose = 'email_change' or t.email = u.email::text)))
$$;
comment on function lab_private.one_time_token_find(text, text) is 'The live token of this purpose, or nulls; it is not used by looking.';

create or replace function lab_private.one_time_token_use(token text, purpose text) returns lab_private.one_time_tokens
  language plpgsql volatile
  set search_path to pg_catalog, labos, pg_temp
as $$
declare
  v_token lab_private.one_time_tokens := lab_private.one_time_token_find(token, purpose);
begin
  if v_token.id is null or not labos.use_guard_advance(v_token.id, 1) then
    return null;
  end if;
  update lab_private.one_time_tokens t set used_at = clock_timestamp() where t.id = v_token.id;
  -- Consuming one kills its siblings (P62).
  update lab_private.one_time_tokens t set revoked_at = clock_timestamp()
  where t.user_id = v_token.user_id and t.purpose = v_token.purpose and t.id <> v_token.id and t.used_at is null and t.revoked_at is null;
  return v_token;
end
$$;
comment on function lab_private.one_time_token_use(text, text) is
  'Uses a token: its row for the one caller who did, else nulls. The use holds although the transaction be rolled back (P29).';

revoke all on all functions in schema lab_private from public;
