package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/oci-catalog/caib/e2e/registries"
)

// lists compares reading a catalog on distribution 3.1, cold and warm, with the
// client without a catalog and with curl.
func (b *bench) lists(entries int) error {
	host, stop, err := b.startRegistry()
	if err != nil {
		return err
	}
	defer stop()
	catalog := host + "/team/catalog"
	fmt.Printf("%d entries on CNCF distribution 3.1 (a process of its own)\n", entries)
	if _, err := b.fill(catalog, "-entries", fmt.Sprint(entries)); err != nil {
		return err
	}
	urls, err := b.wire(catalog)
	if err != nil {
		return err
	}
	fmt.Printf("  a cold list makes %d requests\n", len(urls))
	warm := filepath.Join(b.dir, "warm")
	if _, err := measure(b.command(warm, "catalog", "list", "--catalog", catalog)()); err != nil {
		return err
	}
	curl := func(options ...string) func() *exec.Cmd {
		args := append([]string{"--silent", "--show-error", "--fail", "--header", "Accept: application/vnd.oci.image.manifest.v1+json"}, options...)
		for _, url := range urls {
			args = append(args, "--output", "/dev/null", url)
		}
		return func() *exec.Cmd { return exec.CommandContext(b.ctx, "curl", args...) }
	}
	others := []side{
		{"tags, then every manifest, 16 at a time", func() *exec.Cmd { return exec.CommandContext(b.ctx, os.Args[0], "naive", catalog) }},
		{"curl, the same bytes", curl()},
		{"curl, the same bytes, 16 at a time", curl("--parallel", "--parallel-max", "16")},
	}
	for _, ours := range []side{
		{"caib catalog list, cold", b.command("", "catalog", "list", "--catalog", catalog)},
		{"caib catalog list, warm", b.command(warm, "catalog", "list", "--catalog", catalog)},
	} {
		if err := b.compare(b.runs, append([]side{ours}, others...)...); err != nil {
			return err
		}
	}
	return nil
}

// startRegistry starts distribution 3.1 as a process of its own.
func (b *bench) startRegistry() (host string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	host = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return "", nil, err
	}
	process := exec.CommandContext(b.ctx, os.Args[0], "registry", host)
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = process.Process.Signal(os.Interrupt)
		_ = process.Wait()
	}
	for range 200 {
		if status, err := get(b.ctx, "http://"+host+"/v2/"); err == nil && status == http.StatusOK {
			return host, stop, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("the registry does not answer")
}

// serveRegistry is the role of that process.
func serveRegistry(ctx context.Context, host string) error {
	dir, err := os.MkdirTemp("", "caib-bench-registry-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server := &http.Server{Addr: host, Handler: registries.Distribution3Handler(dir, true)}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listNaively is the best client without a catalog: it lists the tags and
// fetches every manifest, 16 at a time.
func listNaively(ctx context.Context, catalog string) error {
	repository, err := remote.NewRepository(catalog)
	if err != nil {
		return err
	}
	repository.PlainHTTP = true
	repository.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	var tags []string
	if err := repository.Tags(ctx, "", func(page []string) error { tags = append(tags, page...); return nil }); err != nil {
		return err
	}
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, tag := range tags {
		if strings.HasPrefix(tag, "_") {
			continue
		}
		group.Go(func() error {
			descriptor, body, err := repository.FetchReference(within, tag)
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = content.ReadAll(body, descriptor)
			return err
		})
	}
	return group.Wait()
}

// wire returns the URLs that a cold list asks for with these options, from caib's own log.
func (b *bench) wire(catalog string, more ...string) ([]string, error) {
	command := b.command("", append([]string{"catalog", "list", "--catalog", catalog, "--verbose", "-o", "name"}, more...)...)()
	var log strings.Builder
	command.Stderr = &log
	if err := command.Run(); err != nil {
		return nil, err
	}
	host, _, _ := strings.Cut(catalog, "/")
	var urls []string
	for line := range strings.Lines(log.String()) {
		for _, field := range strings.Fields(line) {
			if path, ok := strings.CutPrefix(field, "path="); ok {
				urls = append(urls, "http://"+host+path)
			}
		}
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("no requests in the log:\n%s", log.String())
	}
	return urls, nil
}
