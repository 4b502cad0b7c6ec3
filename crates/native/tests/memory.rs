//! Reservations and copy-on-write images.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "each test owns the reservation that it reads and writes"
)]
#![allow(missing_docs, reason = "not a library")]

use tepui_native::memory::{CowImage, Reservation, page_size, round_to_pages};

/// The bytes of an accessible range.
#[allow(
    clippy::mut_from_ref,
    reason = "the memory is not the reservation's own"
)]
fn bytes(reservation: &Reservation, range: std::ops::Range<usize>) -> &mut [u8] {
    unsafe {
        std::slice::from_raw_parts_mut(
            reservation.base().as_ptr().add(range.start),
            range.end - range.start,
        )
    }
}

/// Bytes of a reservation that is larger than the memory that it gets.
#[cfg(target_pointer_width = "64")]
const LARGE: usize = 1 << 33;
#[cfg(target_pointer_width = "32")]
const LARGE: usize = 1 << 28;

#[test]
fn pages_are_zeros_and_come_back_as_zeros() {
    let page = page_size();
    let reservation = Reservation::new(LARGE).expect("addresses");
    assert_eq!(reservation.len(), LARGE);
    let far = LARGE - page;
    reservation.make_accessible(0..2 * page).expect("memory");
    reservation
        .make_accessible(far..far + page)
        .expect("memory");
    for range in [0..2 * page, far..far + page] {
        assert!(
            bytes(&reservation, range.clone())
                .iter()
                .all(|byte| *byte == 0)
        );
        bytes(&reservation, range).fill(7);
    }
    // Making accessible again keeps what is there.
    reservation.make_accessible(0..2 * page).expect("memory");
    assert_eq!(bytes(&reservation, 0..1)[0], 7);
    unsafe {
        reservation.reset(page..2 * page).expect("reset");
        reservation.reset_to_zero(far..far + page).expect("reset");
    }
    assert!(
        bytes(&reservation, page..2 * page)
            .iter()
            .all(|byte| *byte == 0)
    );
    assert!(bytes(&reservation, 0..page).iter().all(|byte| *byte == 7));
    assert!(
        bytes(&reservation, far..far + page)
            .iter()
            .all(|byte| *byte == 0)
    );
    unsafe { reservation.make_inaccessible(0..page).expect("back") };
    reservation.make_accessible(0..page).expect("memory");
    assert!(bytes(&reservation, 0..page).iter().all(|byte| *byte == 0));
}

#[test]
fn sizes_at_the_edge() {
    let empty = Reservation::new(0).expect("nothing");
    assert!(empty.is_empty());
    empty.make_accessible(0..0).expect("nothing");
    unsafe {
        empty.make_inaccessible(0..0).expect("nothing");
        empty.reset(0..0).expect("nothing");
        empty.reset_to_zero(0..0).expect("nothing");
    }
    assert_eq!(Reservation::new(1).expect("a page").len(), page_size());
    for bytes in [
        usize::MAX,
        usize::MAX / 2 + 1,
        usize::MAX - page_size(),
        #[cfg(target_pointer_width = "64")]
        {
            1 << 60
        },
    ] {
        assert!(Reservation::new(bytes).is_err(), "{bytes:#x}");
    }
    assert_eq!(round_to_pages(usize::MAX), None);
    let page = page_size();
    let small = Reservation::new(2 * page).expect("pages");
    for bad in [1..page, 0..3 * page, 0..1, 2 * page..page] {
        let result = std::panic::catch_unwind(|| small.make_accessible(bad.clone()));
        assert!(result.is_err(), "{bad:?}");
    }
}

#[test]
fn images_are_shared_until_written() {
    let page = page_size();
    let data: Vec<u8> = (0..3 * page + 5).map(|index| index as u8 | 1).collect();
    let Some(image) = CowImage::new(&data).expect("image") else {
        if cfg!(target_os = "linux") {
            panic!("Linux has files in memory");
        }
        return;
    };
    assert_eq!(image.len(), data.len());
    assert_eq!(image.mapped_len(), 4 * page);
    let reservations: Vec<Reservation> = (0..3)
        .map(|_| Reservation::new(16 * page).expect("addresses"))
        .collect();
    for reservation in &reservations {
        reservation.make_accessible(0..8 * page).expect("memory");
        bytes(reservation, 0..8 * page).fill(9);
        unsafe {
            reservation
                .map_copy_on_write(&image, 2 * page)
                .expect("map")
        };
    }
    let mapped = 2 * page..2 * page + data.len();
    bytes(&reservations[0], mapped.clone()).fill(0xee);
    for reservation in &reservations[1..] {
        assert_eq!(bytes(reservation, mapped.clone()), &data[..]);
        assert!(
            bytes(reservation, mapped.end..6 * page)
                .iter()
                .all(|byte| *byte == 0)
        );
        assert_eq!(bytes(reservation, 2 * page - 1..2 * page), [9]);
        assert_eq!(bytes(reservation, 6 * page..6 * page + 1), [9]);
    }
    // Back to the image, then to zeros.
    unsafe { reservations[0].reset(2 * page..6 * page).expect("reset") };
    assert_eq!(bytes(&reservations[0], mapped.clone()), &data[..]);
    unsafe {
        reservations[0]
            .reset_to_zero(2 * page..6 * page)
            .expect("reset")
    };
    assert!(
        bytes(&reservations[0], mapped.clone())
            .iter()
            .all(|byte| *byte == 0)
    );
    // Mappings outlive the image.
    drop(image);
    assert_eq!(bytes(&reservations[1], mapped), &data[..]);

    let empty = CowImage::new(&[]).expect("image");
    if let Some(empty) = empty {
        assert!(empty.is_empty());
        unsafe {
            reservations[0]
                .map_copy_on_write(&empty, 0)
                .expect("nothing")
        };
    }
}
