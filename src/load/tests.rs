#[test]
fn a_large_file_gives_its_bytes_and_digest_mapped_or_not() {
    let folder = tempfile::tempdir().unwrap();
    for len in [0usize, 1_000, 9 << 20] {
        let path = folder.path().join(len.to_string());
        let bytes: Vec<u8> = (0..len).map(|i| ((i * i) >> 7) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let content = super::content::Content::open(&path).unwrap();
        assert_eq!(content.digest(), crate::Digest::of(&bytes));
        assert!(content[..] == bytes[..] && content.to_memory()[..] == bytes[..]);
        // What is open keeps its bytes when another file takes the name.
        std::fs::remove_file(&path).unwrap();
        assert_eq!(content.digest(), crate::Digest::of(&bytes));
    }
    assert!(super::content::Content::open(folder.path()).is_err());
}
