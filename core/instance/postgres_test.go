package instance

import (
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/qanat-data/qanat/internal/pgtest"
)

// as is a DSN for another user, with settings.
func as(t *testing.T, dsn, user, password, query string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.RawQuery = url.UserPassword(user, password), query
	return u.String()
}

func value(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var v string
	if err := db.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestProjectsInOneDatabaseHaveASchemaEach(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	for _, project := range []string{"qanat_one", "qanat_other-\"one\""} {
		for range 2 { // it is made once
			db, err := OpenPostgres(t.Context(), dsn, project)
			if err != nil {
				t.Fatal(err)
			}
			if got := value(t, db, "select current_schema()"); got != project {
				t.Errorf("the schema is %q, expected %q", got, project)
			}
			for name, want := range sessionDefaults {
				if got := value(t, db, "show "+name); got != want {
					t.Errorf("%s is %q, expected %q", name, got, want)
				}
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestADSNMayChooseForItself(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	dsn := server.Database(t)
	db, err := OpenPostgres(t.Context(), dsn+"?search_path=public&statement_timeout=7s&application_name=mine", "unused")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	got := fmt.Sprint(value(t, db, "select current_schema()"), value(t, db, "show statement_timeout"), value(t, db, "show application_name"),
		value(t, db, "select count(*)::text from pg_namespace where nspname = 'unused'"))
	if got != "public7smine0" {
		t.Errorf("schema, statement_timeout, application_name and schemas that nobody wanted: %s", got)
	}
}

func TestAUserWithoutRightsIsToldWhatIsMissing(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	dsn := server.Database(t)
	server.SQL(t, "postgres", "create role plain_user login password 'plain-password'")
	plain := as(t, dsn, "plain_user", "plain-password", "")
	if _, err := OpenPostgres(t.Context(), plain, "qanat_p"); err == nil || !strings.Contains(err.Error(), `create schema "qanat_p" authorization`) {
		t.Errorf("got %v, expected words on the schema that is missing", err)
	}
	owner, err := OpenPostgres(t.Context(), dsn, "qanat_p")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	if _, err := owner.ExecContext(t.Context(), "alter schema qanat_p owner to plain_user"); err != nil {
		t.Fatal(err)
	}
	db, err := OpenPostgres(t.Context(), plain, "qanat_p")
	if err != nil {
		t.Fatalf("with the schema made by somebody else: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestPasswordsOfDatabasesAreNotTold(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Shared(t).Database(t)
	for _, wrong := range []string{
		as(t, dsn, "qanat", "hidden-password", ""), "postgres://me:hidden-pass%word@host/db", "host=h password='hidden-password port=x",
		"postgres://me:hidden-password@127.0.0.1:1/db?connect_timeout=1", "hidden-password",
		"postgres://me:hidden-password@127.0.0.1:1/db?sslmode=verify-full&sslrootcert=/missing",
	} {
		_, err := OpenPostgres(t.Context(), wrong, "qanat_p")
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v, expected an error without the password", err)
		}
		if place, err := postgresPlace(wrong, "qanat_p"); strings.Contains(place+fmt.Sprint(err), "hidden") {
			t.Errorf("%s, %v", place, err)
		}
	}
}
