//! Shards that several processes write and all read.

use super::*;
use crate::machine::precision::Precision;
use crate::machine::world::tests::in_a_world;
use crate::network::weights::weights::Weights;
use crate::show::progress::Progress;

fn base() -> Base {
    let base = Base::vgg16(32, &Weights::seeded(0), Device::Cpu, Precision::F32).unwrap();
    base.progress(Progress::quiet())
}

fn names(folder: &Path) -> Vec<String> {
    let paths = paths_in(folder).unwrap();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(name).collect()
}

#[test]
fn shards_are_one_block_of_features_whoever_wrote_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("train");
    let data = Dataset::open("data/samples/train").unwrap().take(11);
    let alone = base().extract_features(&data).unwrap();
    for size in [4, 1, 3] {
        let all = in_a_world(size, |world| {
            base().extract_shards(&data, &folder, world).unwrap()
        });
        for features in all {
            // A convolution may round by how many pictures pass at once.
            assert!(
                features
                    .tensor()
                    .allclose(&alone.tensor(), 1e-5, 1e-6, false)
            );
            assert_eq!(features.files(), alone.files());
            assert_eq!(features.labels(), alone.labels());
            assert_eq!(features.digest(), alone.digest());
            assert_eq!(features.provenance(), alone.provenance());
        }
    }
    // A whole that is there is kept, with the shards of those who wrote it.
    assert_eq!(names(&folder).len(), 4);
    // Features of other pictures take the place of it.
    let fewer = data.take(6);
    in_a_world(2, |world| {
        base().extract_shards(&fewer, &folder, world).unwrap()
    });
    assert_eq!(
        names(&folder),
        ["shard-000000000.safetensors", "shard-000000003.safetensors"]
    );
}

#[test]
fn a_shard_that_is_lost_is_named_and_the_others_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = Dataset::open("data/samples/train").unwrap().take(6);
    let extract = || {
        in_a_world(3, |world| {
            base().extract_shards(&data, folder, world).is_ok()
        })
    };
    assert_eq!(extract(), [true; 3]);
    let paths = paths_in(folder).unwrap();
    let written = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
    let before = paths.iter().map(written).collect::<Vec<_>>();
    // Half a file, as a full disk leaves it.
    let whole = std::fs::read(&paths[1]).unwrap();
    std::fs::write(&paths[1], &whole[..whole.len() / 2]).unwrap();
    assert!(
        Features::load(folder, Device::Cpu)
            .unwrap_err()
            .to_string()
            .contains("cut short")
    );
    std::fs::remove_file(&paths[1]).unwrap();
    let error = Features::load(folder, Device::Cpu).unwrap_err().to_string();
    assert!(
        error.contains("of 6 pictures those from number 2 on are missing"),
        "{error}"
    );
    assert_eq!(extract(), [true; 3]);
    assert_eq!(Features::load(folder, Device::Cpu).unwrap().len(), 6);
    let after = paths.iter().map(written).collect::<Vec<_>>();
    assert_eq!([before[0], before[2]], [after[0], after[2]]);
}

#[test]
fn processes_with_other_pictures_or_too_few_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = Dataset::open("data/samples/train").unwrap();
    let refused = |counts: [usize; 2]| {
        let errors = in_a_world(2, |world| {
            let own = data.take(counts[world.rank()]);
            base()
                .extract_shards(&own, folder.path(), world)
                .unwrap_err()
                .to_string()
        });
        assert_eq!(errors[0], errors[1]);
        errors[0].clone()
    };
    let error = refused([4, 6]);
    assert!(error.starts_with("process 1 of 2 (on node0): "), "{error}");
    let error = refused([1, 1]);
    assert!(
        error.starts_with("pictures for 2 processes: expected 2 or more"),
        "{error}"
    );
}
