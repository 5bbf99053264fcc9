package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// pull compares pulling a disk with oras and the decompressor of each compression,
// and through a line that is slow and breaks.
func (b *bench) pull(runs int, mib int64) error {
	host, stop, err := b.startRegistry()
	if err != nil {
		return err
	}
	defer stop()
	oras, err := b.buildOras()
	if err != nil {
		return err
	}
	made, err := b.makeDisks(mib)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d MiB from CNCF distribution 3.1 (a process of its own), each run into an empty directory\n", mib)
	for _, kind := range []struct{ name, file, mediaType, unpack string }{
		{"raw", "disk.raw", "raw", ""},
		{"zstd", "disk.raw.zst", "raw+zstd", "zstd -q -d"},
		{"gzip", "disk.raw.gz", "raw+gzip", "gzip -q -d"},
	} {
		image := host + "/os/" + kind.name
		mediaType := "application/vnd.automotive.disk." + kind.mediaType
		if err := b.shell(made, fmt.Sprintf("%s push --plain-http --artifact-type application/vnd.automotive.disk.raw %s:1 %s:%s", oras, image, kind.file, mediaType)); err != nil {
			return err
		}
		if _, err := measure(b.command(filepath.Join(b.dir, "home"), "catalog", "publish", image+":1", "--name", kind.name, "--catalog", host+"/team/catalog")()); err != nil {
			return err
		}
		d, err := digestOf(filepath.Join(made, kind.file))
		if err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(made, kind.file)); err != nil {
			return err
		}
		blob := fmt.Sprintf("%s blob fetch --plain-http --output - %s@%s", oras, image, d)
		sides := []side{
			{"caib catalog pull, " + kind.name, b.pulling(b.caibPulls(host, kind.name))},
			{"oras pull", b.pulling(fmt.Sprintf("%s pull --plain-http --no-tty %s:1", oras, image))},
		}
		if kind.unpack != "" {
			sides[1].name += ", and then " + kind.unpack
			sides[1].command = b.pulling(fmt.Sprintf("%s pull --plain-http --no-tty %s:1 && %s %s", oras, image, kind.unpack, kind.file))
			sides = append(sides,
				side{"oras blob fetch | " + kind.unpack, b.pulling(blob + " | " + kind.unpack + " >disk.raw")},
				side{"the same, and sync", b.pulling(blob + " | " + kind.unpack + " >disk.raw && sync disk.raw")})
		} else {
			sides = append(sides, side{"the same, and sync", b.pulling(fmt.Sprintf("%s pull --plain-http --no-tty %s:1 && sync disk.raw", oras, image))})
		}
		if err := b.compare(runs, sides...); err != nil {
			return err
		}
	}
	return b.pullBroken(host, oras)
}

// makeDisks makes a directory with a disk, and the same as zstd and gzip compress it.
func (b *bench) makeDisks(mib int64) (dir string, err error) {
	dir = filepath.Join(b.dir, "made")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := writeContent(filepath.Join(dir, "disk.raw"), mib); err != nil {
		return "", err
	}
	return dir, b.shell(dir, "zstd -q -T0 disk.raw && gzip -1 -k disk.raw")
}

// caibPulls is the command that pulls an entry of a catalog.
func (b *bench) caibPulls(host, name string) string {
	return fmt.Sprintf("HOME=%s %s catalog pull %s -q --catalog %s/team/catalog", filepath.Join(b.dir, "home"), b.caib, name, host)
}

// pulling makes processes that run a script in a directory that is empty.
func (b *bench) pulling(script string) func() *exec.Cmd {
	return func() *exec.Cmd {
		dir := filepath.Join(b.dir, "pulled")
		_ = os.RemoveAll(dir)
		_ = os.Mkdir(dir, 0o700)
		command := exec.CommandContext(b.ctx, "bash", "-e", "-o", "pipefail", "-c", script)
		command.Dir = dir
		return command
	}
}

// pullBroken pulls through a proxy that answers late, and ends answers with blobs early.
func (b *bench) pullBroken(host, oras string) error {
	const delay, most = 50 * time.Millisecond, 256 << 20
	proxy := &breaking{proxy: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host}), delay: delay, most: most}
	proxy.proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(proxy)
	defer server.Close()
	through := strings.TrimPrefix(server.URL, "http://")
	if _, err := measure(b.command(filepath.Join(b.dir, "home"), "catalog", "publish", through+"/os/raw:1", "--name", "broken", "--catalog", host+"/team/catalog")()); err != nil {
		return err
	}
	fmt.Printf("\nThe same raw disk, each answer %s late and cut within %d MiB\n", delay, most>>20)
	for _, s := range []side{
		{"caib catalog pull", b.pulling(b.caibPulls(host, "broken"))},
		{"oras pull", b.pulling(fmt.Sprintf("%s pull --plain-http --no-tty %s/os/raw:1", oras, through))},
	} {
		before := proxy.answers
		f, err := measure(s.command())
		result := "ends right"
		if err != nil {
			result = strings.Join(strings.Fields(err.Error()), " ")
		}
		fmt.Printf("  %-24s %10s, %d answers: %.300s\n", s.name, short(f.wall), proxy.answers-before, result)
	}
	return nil
}

// breaking is a proxy before a registry: a line that is slow and breaks.
type breaking struct {
	proxy   *httputil.ReverseProxy
	delay   time.Duration
	most    int64 // bytes of one answer
	answers int   // with blobs
}

func (p *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(p.delay)
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
		p.answers++
		w = &broken{w, rand.Int64N(p.most)}
	}
	p.proxy.ServeHTTP(w, r)
}

type broken struct {
	http.ResponseWriter
	left int64
}

func (w *broken) Write(p []byte) (int, error) {
	if int64(len(p)) > w.left {
		_, _ = w.ResponseWriter.Write(p[:w.left])
		panic(http.ErrAbortHandler)
	}
	w.left -= int64(len(p))
	return w.ResponseWriter.Write(p)
}

// writeContent writes what compresses to about a half, the same each time.
func writeContent(path string, mib int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriterSize(file, 1<<20)
	noise := rand.NewChaCha8([32]byte{18})
	block := make([]byte, 4096)
	for range mib << 20 / int64(len(block)) {
		_, _ = noise.Read(block[:2048]) // never fails
		copy(block[2048:], strings.Repeat(string(block[:16]), 128))
		if _, err := out.Write(block); err != nil {
			return err
		}
	}
	return out.Flush()
}

func digestOf(path string) (digest.Digest, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return digest.SHA256.FromReader(io.Reader(file))
}

// shell runs a script in a directory.
func (b *bench) shell(dir, script string) error {
	command := exec.CommandContext(b.ctx, "bash", "-e", "-c", script)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, output)
	}
	return nil
}
