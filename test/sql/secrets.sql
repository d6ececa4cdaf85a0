-- Sealed secrets: AES-256-GCM under a master key from a file.
\set VERBOSITY terse
-- Key files beside the server's data; the server's own shell makes them.
select current_setting('data_directory') || '/../labos-test-key' as keyfile \gset
create function pg_temp.shell(command text) returns void language plpgsql as $$
begin
  execute format('copy (select 1) to program %L', 'cat > /dev/null; ' || command);
end $$;
create function pg_temp.open(sealed bytea, context text) returns text language plpgsql as $$
declare v_hint text;
begin
  return convert_from(labos.secret_open(sealed, context), 'utf8');
exception when sqlstate 'LB105' then
  get stacked diagnostics v_hint = pg_exception_hint;
  return 'LB105 ' || sqlerrm || case when v_hint <> '' then ' (' || v_hint || ')' else '' end;
end $$;
create temp table sealed (what text, secret bytea);

-- Without a master key a secret is marked, not encrypted, and says so; the context still counts.
select labos.master_key_state();
insert into sealed values ('plain', labos.secret_seal('canary', 'a/1'));
select labos.secret_is_encrypted(secret), position('canary'::bytea in secret) > 0 as readable, pg_temp.open(secret, 'a/1'), pg_temp.open(secret, 'a/2') as elsewhere from sealed;

-- With one it is encrypted: nothing of it shows, and two sealings differ. What was sealed before still opens.
select pg_temp.shell(format('umask 077; echo %s > %s', encode(sha256('first'), 'hex'), :'keyfile'));
alter system set labos.master_key_file = :'keyfile';
select pg_reload_conf(), pg_sleep(1);
select labos.master_key_state();
insert into sealed values ('first', labos.secret_seal('canary', 'a/1'));
select what, labos.secret_is_encrypted(secret), position('canary'::bytea in secret) > 0 as readable, length(secret), pg_temp.open(secret, 'a/1'), pg_temp.open(secret, 'a/2') as elsewhere from sealed order by what;
select labos.secret_seal('canary', 'a/1') <> labos.secret_seal('canary', 'a/1') as differ;
-- Every altered byte, every shortened form is found.
select count(*) as forms, count(*) filter (where pg_temp.open(set_byte(secret, i, get_byte(secret, i) # 1), 'a/1') like 'LB105%') as refused from sealed, generate_series(0, length(secret) - 1) i where what = 'first';
select count(*) as forms, count(*) filter (where pg_temp.open(substr(secret, 1, i), 'a/1') like 'LB105%') as refused from sealed, generate_series(0, length(secret) - 1) i where what = 'first';
-- Empty and large secrets; a limit.
select labos.secret_open(labos.secret_seal('', ''), '') as empty, sha256(labos.secret_open(labos.secret_seal(convert_to(repeat('x', 1000000), 'utf8'), 'k'), 'k')) = sha256(convert_to(repeat('x', 1000000), 'utf8')) as large;
select labos.secret_seal(convert_to(repeat('x', 1048577), 'utf8'), 'k');
select labos.secret_seal(null, 'a') is null as nothing;

-- Rotation: a file that changed is read again; the key before it is found in its own file only.
select pg_temp.shell(format('mv %1$s %1$s.old; umask 077; printf %%s%%s 0123456789abcdef 0123456789ABCDEF > %1$s', :'keyfile'));
select labos.master_key_state();
select what, pg_temp.open(secret, 'a/1') from sealed order by what;
\set oldfile :keyfile .old
alter system set labos.master_key_previous_file = :'oldfile';
select pg_reload_conf(), pg_sleep(1);
insert into sealed values ('second', labos.secret_seal('canary', 'a/1'));
select what, pg_temp.open(secret, 'a/1') from sealed order by what;

-- A file that cannot be used is an error, never a secret stored readable.
create function pg_temp.try_file(command text) returns text language plpgsql as $$
declare v_result text;
begin
  perform pg_temp.shell(command);
  v_result := labos.master_key_state();
  begin
    perform labos.secret_seal('canary', 'a/1');
    return v_result || '; sealed';
  exception when sqlstate 'LB105' then
    return v_result || '; ' || sqlerrm;
  end;
end $$;
select pg_temp.try_file('chmod 644 ' || :'keyfile') as readable_by_others;
select pg_temp.try_file('chmod 600 ' || :'keyfile') as restored;
select pg_temp.try_file('printf short > ' || :'keyfile') as too_short;
select pg_temp.try_file('printf %0100d 0 > ' || :'keyfile') as too_long;
select pg_temp.try_file('printf %064d 0 | tr 0 g > ' || :'keyfile') as no_hexadecimal;
select pg_temp.try_file(': > ' || :'keyfile') as empty;
select pg_temp.try_file('rm ' || :'keyfile') as missing;
select pg_temp.try_file(format('mkdir -m 700 %s', :'keyfile')) as directory;
select pg_temp.shell(format('rmdir %1$s; rm %1$s.old', :'keyfile'));

-- A client sees neither the setting nor a secret, and cannot set the file.
set role lab_user;
\set VERBOSITY sqlstate
show labos.master_key_file;
\set VERBOSITY terse
select labos.secret_seal('x', 'y');
select labos.secret_open('x', 'y');
select labos.master_key_state();
reset role;
set labos.master_key_file = '/tmp/x';
alter system reset labos.master_key_file;
alter system reset labos.master_key_previous_file;
select pg_reload_conf(), pg_sleep(1);
select labos.master_key_state();
