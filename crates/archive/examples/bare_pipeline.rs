//! The ceiling of `benches/peers.py`: what a first backup could cost if it were nothing but its primitives.
//!
//! One thread reads, as many as there are cores hash (BLAKE3), compress (zstd 3) and seal (AES-256-GCM) pieces of
//! 1 MiB, one writes them to files of 16 MiB, each synced. No chunks, no index, no names: nothing could be restored.
//!
//!     bare_pipeline SOURCE DESTINATION
#![expect(clippy::unwrap_used, clippy::panic, reason = "it may stop at the first surprise")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const PIECE: usize = 1 << 20;
const FILE: usize = 16 << 20;

fn main() {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [source, destination] = &paths[..] else { panic!("bare_pipeline SOURCE DESTINATION") };
    fs::create_dir_all(destination).unwrap();
    let (to_work, work_from) = sync_channel(4);
    let (to_write, write_from) = sync_channel(4);
    let work_from = Arc::new(Mutex::new(work_from));
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut piece = Vec::with_capacity(PIECE);
            read(source, &mut piece, &to_work);
            to_work.send(piece).unwrap();
        });
        for _ in 0..cores {
            let (from, to) = (Arc::clone(&work_from), to_write.clone());
            scope.spawn(move || work(&from, &to));
        }
        drop((to_write, work_from));
        scope.spawn(move || write(destination, &write_from));
    });
}

fn read(path: &Path, piece: &mut Vec<u8>, to: &SyncSender<Vec<u8>>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| read(&entry.unwrap().path(), piece, to));
    } else if metadata.is_file() {
        let mut file = File::open(path).unwrap();
        while (&mut file).take((PIECE - piece.len()) as u64).read_to_end(piece).unwrap() > 0 {
            if piece.len() == PIECE {
                to.send(std::mem::replace(piece, Vec::with_capacity(PIECE))).unwrap();
            }
        }
    }
}

fn work(from: &Mutex<Receiver<Vec<u8>>>, to: &SyncSender<Vec<u8>>) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let mut zstd = zstd::bulk::Compressor::new(3).unwrap();
    loop {
        let received = from.lock().unwrap().recv();
        let Ok(piece) = received else { return };
        let id = blake3::keyed_hash(&[7; 32], &piece);
        let mut sealed = zstd.compress(&piece).unwrap();
        // Distinct, as distinct as the pieces.
        let nonce = Nonce::try_assume_unique_for_key(&id.as_bytes()[..12]).unwrap();
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).unwrap();
        to.send(sealed).unwrap();
    }
}

fn write(destination: &Path, from: &Receiver<Vec<u8>>) {
    let (mut open, mut number): (Option<(File, usize)>, _) = (None, 0);
    for piece in from {
        let (mut file, len) = open.take().unwrap_or_else(|| {
            number += 1;
            (File::create(destination.join(format!("{number}"))).unwrap(), 0)
        });
        file.write_all(&piece).unwrap();
        if len + piece.len() >= FILE { file.sync_data().unwrap() } else { open = Some((file, len + piece.len())) }
    }
    if let Some((file, _)) = open {
        file.sync_data().unwrap();
    }
}
