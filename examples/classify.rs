// classify BUNDLE PICTURE: the best label, from Rust through the C ABI.
//   rustc -O classify.rs -L PREFIX/lib -l zoo && LD_LIBRARY_PATH=PREFIX/lib ./classify name.zoo cat.jpg
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::{env, mem, process, ptr};

#[repr(C)]
struct Error { struct_size: usize, text: [c_char; 512] }

#[repr(C)]
struct Prediction { struct_size: usize, task: c_int, count: u32, scores: *const f32, points: *const f32,
                    best: u32, score: f32, label: *const c_char, width: u32, height: u32 }

extern "C" {
    fn zoo_model_open(bundle: *const c_char, options: *const c_void, model: *mut *mut c_void, e: *mut Error) -> c_int;
    fn zoo_context_create(model: *const c_void, context: *mut *mut c_void, e: *mut Error) -> c_int;
    fn zoo_predict_file(context: *mut c_void, path: *const c_char, p: *mut Prediction, e: *mut Error) -> c_int;
}

fn main() {
    let words: Vec<CString> = env::args().skip(1).map(|word| CString::new(word).unwrap()).collect();
    let (mut model, mut context) = (ptr::null_mut(), ptr::null_mut());
    unsafe {
        let mut error = Error { struct_size: mem::size_of::<Error>(), ..mem::zeroed() };
        let mut answer = Prediction { struct_size: mem::size_of::<Prediction>(), ..mem::zeroed() };
        if zoo_model_open(words[0].as_ptr(), ptr::null(), &mut model, &mut error) != 0
            || zoo_context_create(model, &mut context, &mut error) != 0
            || zoo_predict_file(context, words[1].as_ptr(), &mut answer, &mut error) != 0 {
            eprintln!("{}", CStr::from_ptr(error.text.as_ptr()).to_string_lossy());
            process::exit(2);
        }
        println!("{} {:.4}", CStr::from_ptr(answer.label).to_string_lossy(), answer.score);
    }
}
