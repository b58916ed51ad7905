// SPDX-License-Identifier: MIT-0

// A worker that takes its clients from fdpass, with Go's standard library alone: fdpassListener is a net.Listener, so
// everything that serves one serves fdpass. systemd passes the socket as file 3. Build: go build -o go go.go
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

type fdpassListener struct{ *net.UnixListener }

// Accept returns the next client. It skips a connection without one.
func (l fdpassListener) Accept() (net.Conn, error) {
	for {
		handoff, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		client, err := receive(handoff)
		handoff.Close() // tells the broker that we have the client
		if err == nil {
			return client, nil
		}
		log.Print(err)
	}
}

func receive(handoff *net.UnixConn) (net.Conn, error) {
	handoff.SetReadDeadline(time.Now().Add(time.Second))
	message, control := make([]byte, 1), make([]byte, syscall.CmsgLen(4))
	_, n, _, _, err := handoff.ReadMsgUnix(message, control)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("a handoff without a client")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("a handoff without a client")
	}
	file := os.NewFile(uintptr(fds[0]), "client")
	defer file.Close() // FileConn has a duplicate
	return net.FileConn(file)
}

func main() {
	listener, err := net.FileListener(os.NewFile(3, "fdpass"))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "Hello %s, this is Go\n", host)
	})
	log.Fatal(http.Serve(fdpassListener{listener.(*net.UnixListener)}, nil))
}
