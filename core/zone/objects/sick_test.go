package objects_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	iceio "github.com/apache/iceberg-go/io"
	"github.com/google/uuid"

	"github.com/qanat-data/qanat/core/zone/objects"
)

// sick is a client of a server of the test's own, and the name of an object there.
func sick(t *testing.T, timeout time.Duration, serve http.HandlerFunc) (*objects.Client, iceio.WriteFileIO, string) {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	c, err := objects.NewClient(objects.Settings{
		Endpoint: strings.TrimPrefix(server.URL, "http://"), AccessKey: "key", SecretKey: "secret", Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	bucket := "sick-" + uuid.NewString()[:8]
	if err := c.Attach(bucket); err != nil {
		t.Fatal(err)
	}
	location := "s3://" + bucket
	return c, fileIO(t.Context(), t, location), location + "/object"
}

func unavailable(t *testing.T, err error) *objects.UnavailableError {
	t.Helper()
	typed, ok := errors.AsType[*objects.UnavailableError](err)
	if !ok {
		t.Fatalf("%v: expected an UnavailableError", err)
	}
	return typed
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, f, name := sick(t, 300*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) }) // before the server is closed, which waits
	for what, err := range map[string]error{
		"put": f.WriteFile(name, []byte("x")),
		"get": second(f.(iceio.ReadFileIO).ReadFile(name)),
	} {
		if e := unavailable(t, err); !e.Passing {
			t.Errorf("%s: %v does not pass", what, err)
		}
		if _, silent := errors.AsType[*objects.SilentError](err); !silent {
			t.Errorf("%s: %v, want a silence", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnAnswerThatStopsOnItsWayIsGivenUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, f, name := sick(t, 300*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	_, err := f.(iceio.ReadFileIO).ReadFile(name)
	if _, silent := errors.AsType[*objects.SilentError](err); !silent {
		t.Errorf("%v, want a silence", err)
	}
}

func TestASlowAnswerThatMovesIsAwaited(t *testing.T) {
	t.Parallel()
	const limit = 600 * time.Millisecond
	_, f, name := sick(t, limit, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "20")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		tick := time.NewTicker(limit / 10)
		defer tick.Stop()
		for range 20 {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			<-tick.C
		}
	})
	data, err := f.(iceio.ReadFileIO).ReadFile(name)
	if err != nil || len(data) != 20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestAnUploadThatNobodyTakesIsGivenUp(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // it takes connections, as far as the system does that by itself, and reads nothing
	c, err := objects.NewClient(objects.Settings{
		Endpoint: listener.Addr().String(), AccessKey: "key", SecretKey: "secret", Timeout: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	bucket := "sick-" + uuid.NewString()[:8]
	if err := c.Attach(bucket); err != nil {
		t.Fatal(err)
	}
	f := fileIO(t.Context(), t, "s3://"+bucket)
	err = f.WriteFile("s3://"+bucket+"/object", noise(30<<20))
	if _, silent := errors.AsType[*objects.SilentError](err); !silent {
		t.Errorf("%v, want a silence", err)
	}
}

func TestAnAnswerThatIsCutOffIsAskedForAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	_, f, name := sick(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "8")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		if asked.Add(1) == 1 {
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "complete")
	})
	data, err := f.(iceio.ReadFileIO).ReadFile(name)
	if err != nil || string(data) != "complete" || asked.Load() != 2 {
		t.Errorf("%q after %d answers, %v", data, asked.Load(), err)
	}
}

func TestFailuresOfTheServerAreToldFromThoseOfTheRequest(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		status          int
		code            string
		blamed, passing bool
	}{
		"overloaded": {status: http.StatusServiceUnavailable, code: "SlowDown", blamed: true, passing: true},
		"full":       {status: http.StatusInsufficientStorage, code: "InsufficientStorage", blamed: true, passing: true},
		"forbidden":  {status: http.StatusForbidden, code: "AccessDenied", blamed: true},
		"missing":    {status: http.StatusNotFound, code: "NoSuchKey"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, f, object := sick(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(want.status)
				_, _ = io.WriteString(w, "<Error><Code>"+want.code+"</Code><Message>so it is</Message></Error>")
			})
			err := f.WriteFile(object, []byte("x"))
			typed, blamed := errors.AsType[*objects.UnavailableError](err)
			if err == nil || blamed != want.blamed || blamed && typed.Passing != want.passing {
				t.Errorf("%v: blamed %v %+v", err, blamed, typed)
			}
		})
	}
}
