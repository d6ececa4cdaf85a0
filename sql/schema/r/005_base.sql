/*
 * Room: base
 *
 * What every later room may call while its functions are created: grants on
 * the schemas and the domains that PostgREST serves as media types.
 */

grant usage on schema lab to lab_anon, lab_user, lab_guest, lab_authenticator, lab_auditor;
grant usage on schema lab_data to lab_user, lab_guest, lab_auditor;
comment on schema lab is
$$labos

A laboratory's backend: identity, organisations, samples, instruments, runs, results, simulations, design campaigns and their audit trail. Sign in with rpc/auth_login.$$;
comment on schema lab_data is 'The tables behind schema lab, with forced row security.';
comment on schema lab_private is 'Secrets, tokens, queues and state of labos; granted to no client.';
-- Nothing is executable by everybody unless a file says so.
alter default privileges for role lab_owner revoke execute on functions from public;

do $do$
declare
  v_type text;
begin
  foreach v_type in array array['image/svg+xml', 'text/html', 'text/csv'] loop
    if to_regtype(format('lab.%I', v_type)) is null then
      execute format('create domain lab.%I as text', v_type);
    end if;
  end loop;
end
$do$;
comment on domain lab."image/svg+xml" is 'An SVG picture: PostgREST serves it for Accept: image/svg+xml.';
comment on domain lab."text/html" is 'An HTML page: PostgREST serves it for Accept: text/html.';
comment on domain lab."text/csv" is 'A CSV text: PostgREST serves it for Accept: text/csv.';
