-- A day at the shop. The update of many orders does not send their terms, which did not change.
update orders set status = 'shipped' where id <= 900;

begin;
insert into customers values (4, 'Barbara', 'barbara@example.com');
insert into orders (id, customer_id, status, amount) values (1001, 4, 'open', 99.90);
commit;

delete from orders where id = 7;
update orders set id = 2000 where id = 8;          -- a change of the key

alter table customers add column country text;     -- a change of the schema
update customers set country = 'NL' where name = 'Edsger';
