-- Keeps reserves of this user away while the wallet is compared. $1 user.
select id from users where id = $1::bigint for update;
