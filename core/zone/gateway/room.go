package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/versity/versitygw/s3err"
)

// room says in a refused write where the disk is full. Other failures would reach the client as an internal error without a word,
// and be tried again at once.
func (b *backend) room(err error) error {
	if err == nil || !full(err) {
		return err
	}
	return s3err.APIError{
		Code: "InsufficientStorage", HTTPStatusCode: http.StatusInsufficientStorage,
		Description: fmt.Sprintf("no space left on device, in %q", b.root),
	}
}

func full(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	var known s3err.S3Error
	return errors.As(err, &known) && known.StatusCode() == http.StatusInsufficientStorage
}
