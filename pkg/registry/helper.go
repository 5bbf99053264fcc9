package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/bounded"
	"github.com/oci-catalog/caib/pkg/internal/normal"
)

const (
	// maxHelperAnswer bounds what a credential helper may print, in bytes.
	maxHelperAnswer = 1 << 20
	// helperGrace is how long a helper that was told to end may keep its pipes.
	helperGrace = 500 * time.Millisecond
	// hubServer is what Docker Hub is called where credentials are stored.
	hubServer = "https://index.docker.io/v1/"
)

var helperName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// holdsNone is how helpers say that they have no login for a host, on one stream
// or the other.
var holdsNone = regexp.MustCompile(`(?i)credentials? (was |were )?not found|\bno (such )?credentials?\b|\bcould not be found\b|^\s*(error:\s*)?not found`)

// helperError is a helper that could not be asked. It holds nothing that the
// helper said.
type helperError struct{ text string }

func (e *helperError) Error() string        { return e.text }
func (e *helperError) Is(target error) bool { return target == entry.ErrUnauthorized }

// askHelper runs docker-credential-NAME (docker's credential helper protocol).
// What it prints is never passed on, on whichever stream: it may hold the
// secret. oras-go has a client for helpers too, which lets them write to this
// process's standard error, and quotes them in errors.
func askHelper(ctx context.Context, name, host, config string) (Account, error) {
	program := "docker-credential-" + name
	failed := func(reason string) (Account, error) {
		return Account{}, &helperError{fmt.Sprintf("credential helper %s for %s (%s): %s", program, host, config, reason)}
	}
	if !helperName.MatchString(name) {
		return Account{}, fmt.Errorf("%w: credentials file %s: %q names no credential helper", entry.ErrInvalid, config, name)
	}
	server := host
	if host == normal.Hub {
		server = hubServer
	}
	answer, complaint := bounded.New(maxHelperAnswer), bounded.New(maxHelperAnswer)
	command := exec.CommandContext(ctx, program, "get")
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(server), answer, complaint
	command.WaitDelay = helperGrace
	err := command.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Account{}, ctx.Err()
	case errors.As(err, &ended) && (holdsNone.Match(answer.Bytes()) || holdsNone.Match(complaint.Bytes())):
		return Account{}, nil
	case errors.As(err, &ended):
		return failed(ended.ProcessState.String())
	case errors.Is(err, exec.ErrNotFound):
		return failed("it is not installed, or not in PATH")
	case err != nil:
		return failed("it cannot be run")
	}
	var said struct{ Username, Secret string }
	if err := json.Unmarshal(answer.Bytes(), &said); err != nil {
		return failed("its answer is not that of a credential helper")
	}
	account := Account{Username: said.Username, Password: said.Secret, Source: fmt.Sprintf("credential helper %s (%s)", program, config)}
	if said.Username == "<token>" {
		account.Username, account.Password, account.IdentityToken = "", "", said.Secret
	}
	return account, nil
}
