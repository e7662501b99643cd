// Command receiver is the other end of the collector in a test: a gRPC server of
// OTLP that writes what it takes as lines of OTLP JSON, and takes nothing before a
// file exists.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // what the collector compresses with
	"google.golang.org/grpc/status"
)

func main() {
	cert := flag.String("cert", "", "certificate in PEM")
	key := flag.String("key", "", "its key in PEM")
	open := flag.String("open", "", "take logs once this file exists")
	out := flag.String("out", "", "append them to this file")
	flag.Parse()
	if err := serve(*cert, *key, *open, *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(cert, key, open, out string) error {
	tls, err := credentials.NewServerTLSFromFile(cert, key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.Creds(tls))
	plogotlp.RegisterGRPCServer(s, &receiver{open: open, out: f})
	fmt.Println(l.Addr())
	return s.Serve(l)
}

type receiver struct {
	plogotlp.UnimplementedGRPCServer
	open string

	mu  sync.Mutex
	out *os.File
}

// Export takes one request.
func (r *receiver) Export(_ context.Context, request plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	answer := plogotlp.NewExportResponse()
	if _, err := os.Stat(r.open); err != nil {
		return answer, status.Error(codes.Unavailable, "not yet open")
	}
	line, err := request.MarshalJSON()
	if err != nil {
		return answer, status.Error(codes.Internal, err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(append(line, '\n')); err != nil {
		return answer, status.Error(codes.Unavailable, err.Error())
	}
	return answer, nil
}
