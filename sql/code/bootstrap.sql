/*
 * Room: bootstrap
 *
 * The call that makes a deployed database usable: the first organisation, its
 * admin and the first signing key. The work is done by the deployed schema;
 * this is the door to it, for the one who installs.
 */

create function labos.bootstrap(org text, email text, password text) returns jsonb
  language plpgsql volatile
  set search_path to pg_catalog, pg_temp
as $$
declare
  v_result jsonb;
begin
  if not pg_has_role(current_user, 'lab_owner', 'member') then
    raise exception 'only lab_owner or a superuser can bootstrap labos' using errcode = '42501',
      hint = format('GRANT lab_owner TO %I;', current_user);
  elsif to_regprocedure('lab_private.bootstrap(text, text, text)') is null then
    raise exception 'labos is not deployed in this database' using errcode = 'LB001',
      hint = 'CALL labos.deploy();';
  end if;
  execute 'select lab_private.bootstrap($1, $2, $3)' into v_result using org, email, password;
  return v_result;
end
$$;
comment on function labos.bootstrap(text, text, text) is
$$Makes the first organisation, its admin and the first signing key (once; superuser or lab_owner)

The admin is also superuser of the installation: may create organisations and rotate keys. Returns their ids. Errors: LB001 not deployed, PT400 invalid_email, invalid_organization, PT409 already_bootstrapped, PT422 weak_password.$$;
revoke all on function labos.bootstrap(text, text, text) from public;
