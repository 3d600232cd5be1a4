create table customers (
	id    integer primary key,
	name  text not null,
	email text not null
);

create table orders (
	id          bigint primary key,
	customer_id integer not null references customers,
	status      text not null,
	amount      numeric(12, 2) not null,
	terms       text,                  -- long, so that it is kept out of line
	placed_at   timestamptz not null default now()
);
alter table orders alter column terms set storage external;

insert into customers values (1, 'Ada', 'ada@example.com'), (2, 'Grace', 'grace@example.com'), (3, 'Edsger', 'edsger@example.com');
insert into orders (id, customer_id, status, amount, terms)
	select n, 1 + n % 3, 'open', n * 1.25, repeat('terms and conditions ', 200) from generate_series(1, 1000) n;
