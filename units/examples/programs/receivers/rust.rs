// SPDX-License-Identifier: MIT-0

//! A worker that takes its clients from fdpass, without a crate: the standard library can't receive descriptors yet
//! (SocketAncillary is unstable), so recvmsg(2) of libc, which every Rust program is linked to, is declared here. With a
//! crate (rustix, nix, sendfd) receive() is two lines. systemd passes the socket as file 3. Build: rustc -O rust.rs

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::raw::{c_int, c_void};
use std::os::unix::io::{AsRawFd, FromRawFd};
use std::os::unix::net::{UnixListener, UnixStream};

#[repr(C)]
struct IoVec { base: *mut c_void, len: usize }

#[repr(C)]
struct MsgHdr { name: *mut c_void, name_len: u32, iov: *mut IoVec, iov_len: usize, control: *mut c_void, control_len: usize, flags: c_int }

#[repr(C)]
struct Control { len: usize, level: c_int, kind: c_int, fd: c_int }

extern "C" {
    fn recvmsg(fd: c_int, message: *mut MsgHdr, flags: c_int) -> isize;
}

const MSG_CMSG_CLOEXEC: c_int = 0x4000_0000;
const CMSG_LEN: usize = 20; // of one descriptor, where size_t has 8 bytes: there is no room for a second one

fn receive(handoff: &UnixStream) -> Option<TcpStream> {
    let mut byte = 0u8;
    let mut iov = IoVec { base: &mut byte as *mut u8 as *mut c_void, len: 1 };
    let mut control = Control { len: 0, level: 0, kind: 0, fd: -1 };
    let mut message = MsgHdr {
        name: std::ptr::null_mut(), name_len: 0, iov: &mut iov, iov_len: 1,
        control: &mut control as *mut Control as *mut c_void, control_len: CMSG_LEN, flags: 0,
    };
    let n = unsafe { recvmsg(handoff.as_raw_fd(), &mut message, MSG_CMSG_CLOEXEC) };
    if n == 1 && message.control_len == CMSG_LEN && control.level == 1 && control.kind == 1 {
        return Some(unsafe { TcpStream::from_raw_fd(control.fd) });
    }
    None
}

fn serve(mut client: TcpStream) -> std::io::Result<()> {
    let mut request = [0u8; 65536];
    let _ = client.read(&mut request)?;
    let peer = client.peer_addr()?.ip();
    write!(client, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nHello {}, this is Rust\n", peer)
}

fn main() {
    let listener = unsafe { UnixListener::from_raw_fd(3) };
    for handoff in listener.incoming().flatten() {
        let client = receive(&handoff);
        drop(handoff); // tells the broker that we have the client
        if let Some(client) = client {
            std::thread::spawn(move || serve(client));
        }
    }
}
