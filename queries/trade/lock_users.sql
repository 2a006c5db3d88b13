-- First of a reservation: whoever reserves for a user holds the user, in id order so that two of them cannot deadlock. A
-- statement of its own, so that the next one sees what the former holder committed.
select id from users where id = any ($1::bigint[]) order by id for no key update
