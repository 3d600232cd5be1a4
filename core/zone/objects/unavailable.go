package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
)

// UnavailableError says that a request failed for reasons of the server, the way to it or the account, not of what was asked.
type UnavailableError struct {
	Server string // host:port
	// Passing says that the same request may go better after a while.
	Passing bool
	Err     error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return "object store at " + e.Server + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// blame marks errors that the server is to blame for.
func (c *Client) blame(err error) error {
	if _, known := errors.AsType[*UnavailableError](err); known || err == nil {
		return err
	}
	passing, ours := verdict(err)
	if !ours {
		return err
	}
	return &UnavailableError{Server: c.settings.Endpoint, Passing: passing, Err: plain(err)}
}

// plain leaves addresses out, which are different each time or known anyway, and says what a status alone would not.
func plain(err error) error {
	if response, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return fmt.Errorf("%d %s: %w", response.StatusCode, response.Code, err)
	}
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("%s: %w", network.Op, network.Err)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// verdict tells failures of the server from those of the request.
func verdict(err error) (passing, server bool) {
	if response, ok := errors.AsType[minio.ErrorResponse](err); ok {
		switch {
		case response.StatusCode >= http.StatusInternalServerError && response.StatusCode != http.StatusNotImplemented,
			response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusRequestTimeout,
			slices.Contains([]string{"SlowDown", "RequestTimeout", "RequestTimeTooSkewed", "QuotaExceeded"}, response.Code):
			return true, true
		case response.StatusCode == http.StatusForbidden, response.StatusCode == http.StatusUnauthorized, response.Code == "NoSuchBucket":
			return false, true
		}
		return false, false
	}
	if errors.Is(err, context.Canceled) {
		return false, false
	}
	var network net.Error
	return true, errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// Trouble says what is wrong with the server right now and since when, as its latest requests show; an empty text means nothing.
func (c *Client) Trouble() (what string, since time.Time) {
	fault, since := c.watch.health.trouble()
	if fault == "" {
		return "", time.Time{}
	}
	return "the object store at " + c.settings.Endpoint + ": " + fault, since
}
