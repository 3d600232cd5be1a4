package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/versity/versitygw/s3err"
)

func TestAFullDiskIsNamed(t *testing.T) {
	t.Parallel()
	b := &backend{root: "/project/objects"}
	for name, err := range map[string]error{
		"the system's": fmt.Errorf("write: %w", syscall.ENOSPC), "a quota": fmt.Errorf("write: %w", syscall.EDQUOT),
		"the backend's": s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice),
	} {
		var said s3err.S3Error
		got := b.room(err)
		if !errors.As(got, &said) || said.StatusCode() != http.StatusInsufficientStorage {
			t.Errorf("%s: %v", name, got)
			continue
		}
		if text := string(said.XMLBody("", "")); !strings.Contains(text, "no space left on device") || !strings.Contains(text, "/project/objects") {
			t.Errorf("%s: it says %s", name, text)
		}
	}
	for _, err := range []error{nil, syscall.EIO, s3err.GetAPIError(s3err.ErrNoSuchKey)} {
		if got := b.room(err); !errors.Is(got, err) {
			t.Errorf("%v became %v", err, got)
		}
	}
}
