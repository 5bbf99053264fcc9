package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/registry"
)

// shelf is what the served catalog has beside what the story published.
var shelf = []struct {
	repository, distro, target, version string
	architectures                       []string
	disk                                bool
	args                                []string
}{
	{"automotive/autosd", "autosd", "rpi4", "10.0", []string{"arm64", "amd64"}, false, []string{"--name", "autosd-lts", "--tags", "release,lts", "--description", "The long-term release for evaluation boards.", "--label", "team=platform"}},
	{"automotive/autosd", "autosd", "rpi4", "10.2", []string{"arm64", "amd64"}, false, []string{"--name", "autosd", "--tags", "nightly", "--target", "rpi4:verified", "--description", "The nightly image of the platform team: kernel-automotive, podman and the vehicle signal service.", "--label", "team=platform", "--label", "stage=integration"}},
	{"automotive/cockpit", "autosd", "ride4", "2.4.0", []string{"arm64"}, false, []string{"--tags", "release", "--target", "ride4:verified", "--target", "ridesx4", "--description", "Cockpit domain with the instrument cluster and the infotainment containers.", "--label", "team=cockpit"}},
	{"automotive/cockpit-disk", "autosd", "ride4", "2.4.0", []string{"arm64"}, true, []string{"--tags", "release", "--description", "Cockpit domain as a disk image, to be written onto a board.", "--label", "team=cockpit"}},
	{"automotive/gateway", "cs9", "s32g_vnp_rdb3", "1.9", []string{"arm64"}, false, []string{"--tags", "qa", "--description", "Central gateway: CAN, SOME/IP and the firewall between the domains.", "--label", "team=gateway"}},
	{"automotive/telematics", "autosd10-sig", "j784s4evm", "0.7.1", []string{"arm64"}, false, []string{"--tags", "nightly,experimental", "--label", "team=connectivity"}},
	{"automotive/simulator-disk", "autosd", "qemu", "10.2", []string{"amd64"}, true, []string{"--tags", "nightly,qa", "--description", "What developers start on their own machine.", "--label", "team=platform"}},
	{"automotive/rescue", "cs9", "ebbr", "3", []string{"arm64", "amd64"}, false, []string{"--tags", "release", "--description", "Boots from the network and mends what does not boot any more."}},
}

// serve publishes some more, and serves the catalog until it is interrupted.
func (s *show) serve(host, address string) error {
	s.say("Some more images, so that there is something to look at.")
	client, err := registry.New(registry.Options{})
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	for n, one := range shelf {
		reference := host + "/" + one.repository + ":" + one.version
		ref, err := registry.ParseReference(reference)
		if err != nil {
			return err
		}
		repository, err := client.Open(ref)
		if err != nil {
			return err
		}
		push := bootc
		if one.disk {
			push = disk
		}
		build := samples.Build{Distro: one.distro, Target: one.target, Architectures: one.architectures, Version: one.version, Created: now.Add(-time.Duration(n) * time.Hour)}
		if err := push(s.ctx, repository, ref.Tag, build); err != nil {
			return err
		}
		s.run(append([]string{"catalog", "publish", reference, "--version", one.version, "--author", "platform-ci"}, one.args...)...)
	}
	s.say("The catalog as a page. Interrupt it to end.")
	if s.err != nil {
		return s.err
	}
	fmt.Printf("\n$ caib catalog serve --listen %s --refresh 1s\nOpen http://%s/ in a browser.\n", address, address)
	command := exec.CommandContext(s.ctx, s.caib, "catalog", "serve", "--listen", address, "--refresh", "1s")
	command.Env, command.Stdout, command.Stderr = s.env, os.Stdout, os.Stdout
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 15 * time.Second
	if err := command.Run(); s.ctx.Err() == nil {
		return err
	}
	return nil
}
