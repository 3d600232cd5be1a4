package instance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// statePragmas let several processes share the file: wait for locks, readers
// beside the writer, and a commit that survives power loss.
const statePragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate"

// OpenState opens the SQLite state database, and makes an empty one if there
// is none. Tables are made by the packages that own them. The caller closes it.
func OpenState(ctx context.Context, path string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("state database %q: %w", path, err)
	}
	// SQLite would make the file readable for everybody; its log files take the
	// permissions of the file.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // the caller names the file
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("state database: %w", err)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: statePragmas}).String())
	if err != nil {
		return nil, fmt.Errorf("state database %q: %w", path, err)
	}
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, errors.Join(fmt.Errorf("state database %q: %w", path, err), db.Close())
	}
	if mode != "wal" {
		return nil, errors.Join(fmt.Errorf("state database %q: journal mode is %q, expected \"wal\": the file system must support shared memory", path, mode), db.Close())
	}
	return db, nil
}
