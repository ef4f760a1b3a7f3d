//! The copy kept small: each fetch leaves a pack and each of our commits a few files, which are put into one pack now
//! and then.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::{Odb, Oid, Repository};

/// Packs and loose objects that may lie there before they are put together: each question asks all packs in turn, and
/// each holds a file open.
const PACKS_MAX: usize = 32;
/// As many as git itself suffers before `git gc`, in a two-hundred-and-fifty-sixth of the folders.
const LOOSE_MAX: usize = 2_000;
/// Packs from here on are left as they are: putting them together would cost more than they do.
const SMALL_BYTES: u64 = 4 * 1024 * 1024;

/// An id in hexadecimal digits.
const ID_CHARS: usize = 40;

/// Puts small packs and loose objects together where there are many, and takes away what killed children left. Says
/// whether files have gone that an open repository may rely on.
///
/// # Guarantees
/// Every object stays readable at each moment: the new pack is complete before an old file goes.
pub(super) fn tidy(repo: &Repository) -> io::Result<bool> {
    let objects = repo.path().join("objects");
    let packs = objects.join("pack");
    let mut small = Vec::new();
    for entry in fs::read_dir(&packs)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("pack_") {
            // libgit2's name for a pack that is not complete; the lock says that nobody writes one now.
            fs::remove_file(entry.path())?;
        } else if name.starts_with("pack-") && name.ends_with(".pack") && entry.metadata()?.len() < SMALL_BYTES {
            small.push(entry.path());
        }
    }
    let loose = loose(&objects)?;
    if small.len() < PACKS_MAX && loose.len() < LOOSE_MAX {
        return Ok(false);
    }
    let mut ids = listed(repo, &small).map_err(git)?;
    ids.extend(loose.iter().map(|(id, _)| *id));
    let mut builder = repo.packbuilder().map_err(git)?;
    builder.set_threads(1);
    for id in ids {
        builder.insert_object(id, None).map_err(git)?;
    }
    builder.write(&packs, 0o444).map_err(git)?;
    let made = builder.name().map_err(git)?.map(|name| packs.join(format!("pack-{name}.pack")));
    for pack in small.iter().filter(|pack| Some(*pack) != made.as_ref()) {
        fs::remove_file(pack.with_extension("idx"))?;
        fs::remove_file(pack)?;
    }
    for (_, path) in loose {
        fs::remove_file(path)?;
    }
    Ok(true)
}

fn git(error: git2::Error) -> io::Error {
    io::Error::other(error.message().to_owned())
}

/// The ids in some packs, by a folder of objects that holds nothing else.
fn listed(repo: &Repository, packs: &[PathBuf]) -> Result<Vec<Oid>, git2::Error> {
    let failed = |error: io::Error| git2::Error::from_str(&error.to_string());
    let beside = tempfile::Builder::new().prefix("tidy-").tempdir_in(repo.path()).map_err(failed)?;
    let folder = beside.path().join("pack");
    fs::create_dir(&folder).map_err(failed)?;
    for pack in packs {
        for path in [pack.clone(), pack.with_extension("idx")] {
            if let Some(name) = path.file_name() {
                fs::hard_link(&path, folder.join(name)).map_err(failed)?;
            }
        }
    }
    let odb = Odb::new()?;
    let path = beside.path().to_str().ok_or_else(|| git2::Error::from_str("the folder's name is no text"))?;
    odb.add_disk_alternate(path)?;
    let mut ids = Vec::new();
    odb.foreach(|id| {
        ids.push(*id);
        true
    })?;
    Ok(ids)
}

/// The loose objects.
fn loose(objects: &Path) -> io::Result<Vec<(Oid, PathBuf)>> {
    let mut found = Vec::new();
    for folder in fs::read_dir(objects)?.flatten() {
        let prefix = folder.file_name().to_string_lossy().into_owned();
        if prefix.len() != 2 {
            continue;
        }
        for file in fs::read_dir(folder.path())?.flatten() {
            let id = format!("{prefix}{}", file.file_name().to_string_lossy());
            // What git is just writing has another name.
            if id.len() == ID_CHARS
                && let Ok(id) = Oid::from_str(&id)
            {
                found.push((id, file.path()));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_packs_and_loose_objects_become_one_pack() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("repo.git");
        super::super::prepare(&path).expect("a copy");
        let repo = Repository::open_bare(&path).expect("a repository");
        let (objects, packs) = (path.join("objects"), path.join("objects/pack"));
        let mut ids = Vec::new();
        for number in 0..PACKS_MAX {
            let id = repo.blob(format!("packed {number}").as_bytes()).expect("a blob");
            let mut builder = repo.packbuilder().expect("a builder");
            builder.insert_object(id, None).expect("inserted");
            builder.write(&packs, 0o444).expect("a pack");
            for (_, path) in loose(&objects).expect("listed") {
                fs::remove_file(path).expect("removed");
            }
            ids.push(id);
            assert!(number + 1 == PACKS_MAX || !tidy(&repo).expect("looked"), "not yet at {number}");
        }
        ids.push(repo.blob(b"loose").expect("a blob"));
        fs::write(packs.join("pack_left_by_a_killed_child"), "half").expect("written");
        assert!(tidy(&repo).expect("tidied"));
        let names: Vec<_> = fs::read_dir(&packs).expect("listed").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names.len(), 2, "a pack and its index: {names:?}");
        assert_eq!(loose(&objects).expect("listed").len(), 0);
        let anew = Repository::open_bare(&path).expect("a repository");
        for id in ids {
            anew.find_blob(id).expect("still there");
        }
        assert!(!tidy(&anew).expect("looked"));
    }
}
