-- One message for each. Arrays: $1 user, $2 kind, $3 trade or account
insert into notifications (user_id, kind, subject_id)
select * from unnest($1::bigint[], $2::text[], $3::bigint[])
on conflict (user_id, kind, subject_id) where subject_id is not null do nothing
