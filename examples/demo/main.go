// Command demo shows the main job of caib on real components: it starts an OCI
// registry in this process, pushes a few sample images to it, and runs the
// caib binary against it, each command line before its output.
//
//	go run ./examples/demo -caib bin/caib
//	go run ./examples/demo -caib bin/caib -serve 127.0.0.1:8080   # then open it in a browser
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

func main() {
	caib := flag.String("caib", "bin/caib", "the caib binary to show")
	serve := flag.String("serve", "", "then serve the catalog at this address, until it is interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *caib, *serve); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, caib, serve string) error {
	server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	fmt.Printf("An OCI registry runs at %s, in memory. Pushing sample images to it:\n", host)
	if err := pushAll(ctx, host); err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "caib-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	binary, err := filepath.Abs(caib)
	if err != nil {
		return err
	}
	s := &show{ctx: ctx, caib: binary, env: append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME=", "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "CAIB_CATALOG="+host+"/automotive/catalog")}
	fmt.Printf("\nThe catalog lives in the same registry:\n$ export CAIB_CATALOG=%s/automotive/catalog\n", host)
	s.play(host)
	if serve != "" && s.err == nil {
		return s.serve(host, serve)
	}
	return s.err
}

// play is the story: publish, add, list, filter, get, remove, history.
func (s *show) play(host string) {
	s.say("Nothing is published yet.")
	s.run("catalog", "list")
	s.say("A pipeline publishes what it built; the image says the rest.")
	s.run("catalog", "publish", host+"/automotive/autosd:10.1", "--version", "10.1", "--tags", "nightly", "--target", "rpi4:verified")
	s.run("catalog", "publish", host+"/automotive/autosd-qemu-disk:10.1", "--version", "10.1", "--tags", "nightly,qa", "--label", "team=platform")
	s.say("Publishing the same again changes nothing.")
	s.run("catalog", "publish", host+"/automotive/autosd:10.1", "--version", "10.1", "--tags", "nightly", "--target", "rpi4:verified")
	s.say("An image that somebody else built is added; nothing is written to its repository.")
	s.run("catalog", "add", "cs9-base", host+"/centos/cs9:latest", "--tags", "upstream")
	s.say("Operations teams find them again.")
	s.run("catalog", "list")
	s.run("catalog", "list", "--target", "qemu", "--tags", "qa", "-o", "wide")
	s.run("catalog", "list", "--architecture", "aarch64", "-o", "name")
	s.run("catalog", "get", "autosd-qemu-disk")
	s.say("A mistake is refused, with the way out.")
	s.fail(5, "catalog", "add", "cs9-base", host+"/automotive/autosd:10.1")
	s.say("Removing is an event too: the history keeps everything.")
	s.run("catalog", "remove", "cs9-base", "--force", "--reason", "not ours to support")
	s.run("catalog", "list")
	s.run("catalog", "history")
}

func pushAll(ctx context.Context, host string) error {
	client, err := registry.New(registry.Options{})
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	for _, sample := range []struct {
		reference, what string
		push            func(context.Context, samples.Pusher, string, samples.Build) error
		build           samples.Build
	}{
		{host + "/automotive/autosd:10.1", "a bootc container for two architectures", bootc,
			samples.Build{Distro: "autosd", Target: "rpi4", Architectures: []string{"arm64", "amd64"}, Version: "10.1", Created: now.Add(-time.Hour)}},
		{host + "/automotive/autosd-qemu-disk:10.1", "a disk image (qcow2)", disk,
			samples.Build{Distro: "autosd", Target: "qemu", Architectures: []string{"amd64"}, Version: "10.1", Created: now.Add(-2 * time.Hour)}},
		{host + "/centos/cs9:latest", "a bootc container for one architecture", bootc,
			samples.Build{Distro: "cs9", Target: "ebbr", Architectures: []string{"arm64"}, Version: "9", Created: now.Add(-72 * time.Hour)}},
	} {
		ref, err := registry.ParseReference(sample.reference)
		if err != nil {
			return err
		}
		repository, err := client.Open(ref)
		if err != nil {
			return err
		}
		if err := sample.push(ctx, repository, ref.Tag, sample.build); err != nil {
			return err
		}
		fmt.Printf("  %-55s %s\n", sample.reference, sample.what)
	}
	return nil
}

func bootc(ctx context.Context, to samples.Pusher, tag string, build samples.Build) error {
	_, err := samples.Bootc(ctx, to, tag, build)
	return err
}

func disk(ctx context.Context, to samples.Pusher, tag string, build samples.Build) error {
	_, err := samples.Disk(ctx, to, tag, build)
	return err
}

// show runs commands before the user's eyes, until one does not do what it
// should.
type show struct {
	ctx  context.Context
	caib string
	env  []string
	err  error
}

func (s *show) say(text string) {
	if s.err == nil {
		fmt.Printf("\n# %s\n", text)
	}
}

func (s *show) run(args ...string) { s.fail(0, args...) }

// fail runs a command that must end with the given exit code.
func (s *show) fail(code int, args ...string) {
	if s.err != nil {
		return
	}
	fmt.Printf("\n$ caib %s\n", quote(args))
	command := exec.CommandContext(s.ctx, s.caib, args...)
	command.Env, command.Stdout, command.Stderr = s.env, os.Stdout, os.Stdout
	err := command.Run()
	got := command.ProcessState.ExitCode()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.err = err
	} else if got != code {
		s.err = fmt.Errorf("caib %s: exit code %d, want %d", quote(args), got, code)
	} else if code != 0 {
		fmt.Printf("(exit code %d)\n", code)
	}
}

func quote(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		if quoted[i] = arg; strings.ContainsAny(arg, " \"'") {
			quoted[i] = fmt.Sprintf("%q", arg)
		}
	}
	return strings.Join(quoted, " ")
}
