// Command catalogd serves an Iceberg REST catalog for scenarios. It lies about commits now and then, if it is told to.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/qanat-data/qanat/core/zone/zonetest/restcatalog"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "catalogd:", err)
		os.Exit(1) //nolint:gocritic // the process ends
	}
}

// Keys come from the environment: arguments are for all to see.
func run(ctx context.Context) error {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve at")
	objects := flag.String("objects", "", "host:port of the object store, without TLS; keys are S3_ACCESS_KEY and S3_SECRET_KEY")
	lies := flag.Int64("lies", 0, "answer every so manieth commit with an error, before or after it is carried out; 0 never does")
	flag.Parse()
	store, err := minio.New(*objects, &minio.Options{
		Creds: credentials.NewStaticV4(os.Getenv("S3_ACCESS_KEY"), os.Getenv("S3_SECRET_KEY"), ""), Region: "us-east-1",
	})
	if err != nil {
		return err
	}
	settings := restcatalog.Settings{
		Objects: store, Token: os.Getenv("CATALOG_TOKEN"), ID: "qanat", Secret: os.Getenv("CATALOG_SECRET"), Prefix: "lake", Warehouse: "lake",
	}
	if *lies > 0 {
		settings.Fault = liar(*lies)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: restcatalog.New(settings), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// liar takes turns in the ways that a commit may fail.
func liar(each int64) func(restcatalog.Operation) restcatalog.Fault {
	ways := []restcatalog.Fault{
		{Status: http.StatusInternalServerError, Done: true}, {Status: http.StatusConflict}, {Cut: true, Done: true},
		{Status: http.StatusServiceUnavailable}, {Status: http.StatusGatewayTimeout, Done: true}, {Cut: true},
	}
	var commits atomic.Int64
	return func(o restcatalog.Operation) restcatalog.Fault {
		if o != restcatalog.Commit {
			return restcatalog.Fault{}
		}
		n := commits.Add(1)
		if n%each != 0 {
			return restcatalog.Fault{}
		}
		return ways[(n/each)%int64(len(ways))]
	}
}
