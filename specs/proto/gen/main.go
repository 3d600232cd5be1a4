// Command gen compiles the plugin protocol to Go without needing protoc: it parses the .proto file, then asks the code
// generators pinned in go.mod (go tool protoc-gen-go, go tool protoc-gen-go-grpc). With -check it writes nothing and fails
// when what is committed is not what would be generated.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	dir := flag.String("dir", "specs/proto/pluginv1", "folder of the protocol file, where the Go files go too")
	check := flag.Bool("check", false, "only check that the committed Go is current")
	flag.Parse()
	if err := run(context.Background(), *dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, check bool) error {
	request, err := compile(ctx, dir)
	if err != nil {
		return err
	}
	var stale []error
	for _, tool := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		files, err := generate(ctx, tool, request)
		if err != nil {
			return fmt.Errorf("%s: %w", tool, err)
		}
		for _, f := range files {
			stale = append(stale, settle(filepath.Join(dir, filepath.Base(f.GetName())), []byte(f.GetContent()), check))
		}
	}
	return errors.Join(stale...)
}

func compile(ctx context.Context, dir string) (*pluginpb.CodeGeneratorRequest, error) {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{dir}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	const file = "plugin.proto"
	linked, err := compiler.Compile(ctx, file)
	if err != nil {
		return nil, err
	}
	return &pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{file},
		Parameter:      new("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(linked[0])},
	}, nil
}

func generate(ctx context.Context, tool string, request *pluginpb.CodeGeneratorRequest) ([]*pluginpb.CodeGeneratorResponse_File, error) {
	in, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", tool) //nolint:gosec // the two tool names are constants above
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return nil, err
	}
	if response.Error != nil {
		return nil, errors.New(response.GetError())
	}
	return response.GetFile(), nil
}

func settle(path string, want []byte, check bool) error {
	if !check {
		return os.WriteFile(path, want, 0o644) //nolint:gosec // source code, readable by all
	}
	have, err := os.ReadFile(path) //nolint:gosec // a path of this repository
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("%s is stale: run make gen", path)
	}
	return nil
}
