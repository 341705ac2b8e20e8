//! Columns of a table: built from iterators, and read back by name.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, ListArray, PrimitiveArray, RecordBatch,
    StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::view::FetchError;

/// Columns of one batch of rows, in the order of the calls. A `maybe` column
/// has gaps.
#[derive(Default)]
pub struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn add(mut self, name: &str, array: impl Array + 'static, gaps: bool) -> Self {
        let field = Field::new(name, array.data_type().clone(), gaps);
        self.fields.push(field);
        self.arrays.push(Arc::new(array));
        self
    }

    pub fn u64s(self, name: &str, values: impl Iterator<Item = u64>) -> Self {
        self.add(name, UInt64Array::from_iter_values(values), false)
    }

    pub fn u32s(self, name: &str, values: impl Iterator<Item = usize>) -> Self {
        let array = UInt32Array::from_iter_values(values.map(narrow));
        self.add(name, array, false)
    }

    pub fn maybe_u32s(self, name: &str, values: impl Iterator<Item = Option<usize>>) -> Self {
        let array: UInt32Array = values.map(|v| v.map(narrow)).collect();
        self.add(name, array, true)
    }

    pub fn maybe_u64s(self, name: &str, values: impl Iterator<Item = Option<u64>>) -> Self {
        self.add(name, values.collect::<UInt64Array>(), true)
    }

    pub fn f64s(self, name: &str, values: impl Iterator<Item = f64>) -> Self {
        self.add(name, Float64Array::from_iter_values(values), false)
    }

    pub fn maybe_f64s(self, name: &str, values: impl Iterator<Item = Option<f64>>) -> Self {
        self.add(name, values.collect::<Float64Array>(), true)
    }

    pub fn texts<T: AsRef<str>>(self, name: &str, values: impl Iterator<Item = T>) -> Self {
        self.add(name, StringArray::from_iter_values(values), false)
    }

    pub fn maybe_texts<T: AsRef<str>>(
        self,
        name: &str,
        values: impl Iterator<Item = Option<T>>,
    ) -> Self {
        self.add(name, values.collect::<StringArray>(), true)
    }

    pub fn bytes<T: AsRef<[u8]>>(self, name: &str, values: impl Iterator<Item = T>) -> Self {
        self.add(name, BinaryArray::from_iter_values(values), false)
    }

    fn lists<T: ArrowPrimitiveType>(
        self,
        name: &str,
        lists: impl Iterator<Item = Vec<T::Native>>,
    ) -> Self {
        let mut builder = ListBuilder::new(PrimitiveBuilder::<T>::new());
        for list in lists {
            builder.values().append_slice(&list);
            builder.append(true);
        }
        self.add(name, builder.finish(), false)
    }

    pub fn f32_lists(self, name: &str, lists: impl Iterator<Item = Vec<f32>>) -> Self {
        self.lists::<Float32Type>(name, lists)
    }

    pub fn f64_lists(self, name: &str, lists: impl Iterator<Item = Vec<f64>>) -> Self {
        self.lists::<Float64Type>(name, lists)
    }

    pub fn u32_lists(self, name: &str, lists: impl Iterator<Item = Vec<usize>>) -> Self {
        let narrowed = lists.map(|list| list.into_iter().map(narrow).collect());
        self.lists::<UInt32Type>(name, narrowed)
    }

    pub fn text_lists(self, name: &str, lists: impl Iterator<Item = Vec<String>>) -> Self {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for list in lists {
            list.iter()
                .for_each(|text| builder.values().append_value(text));
            builder.append(true);
        }
        self.add(name, builder.finish(), false)
    }

    /// The batch.
    ///
    /// # Errors
    /// Columns of different lengths.
    pub fn batch(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
    }
}

/// Classes, sides of pictures and boxes all fit 32 bits.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Part of a table as it is read.
pub struct Rows {
    batch: RecordBatch,
    file: String,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    fn column<T: Array + 'static>(&self, name: &str) -> Result<&T, FetchError> {
        let column = self.batch.column_by_name(name);
        let typed = column.and_then(|c| c.as_any().downcast_ref());
        typed.ok_or_else(|| self.wrong(format!("there is no column `{name}` of its type")))
    }

    /// What is wrong with the file.
    pub fn wrong(&self, reason: String) -> FetchError {
        let what = self.file.clone();
        FetchError { what, reason }
    }

    pub fn u64s(&self, name: &str) -> Result<&UInt64Array, FetchError> {
        self.column(name)
    }

    pub fn u32s(&self, name: &str) -> Result<&UInt32Array, FetchError> {
        self.column(name)
    }

    pub fn f64s(&self, name: &str) -> Result<&Float64Array, FetchError> {
        self.column(name)
    }

    pub fn texts(&self, name: &str) -> Result<&StringArray, FetchError> {
        self.column(name)
    }

    pub fn bytes(&self, name: &str) -> Result<&BinaryArray, FetchError> {
        self.column(name)
    }

    /// The list in a row, of a column of lists of numbers.
    pub fn list<T: ArrowPrimitiveType>(
        &self,
        name: &str,
        row: usize,
    ) -> Result<Vec<T::Native>, FetchError> {
        let lists: &ListArray = self.column(name)?;
        let values = lists.value(row);
        let typed = values.as_any().downcast_ref::<PrimitiveArray<T>>();
        let wrong = || self.wrong(format!("`{name}` holds lists of another type"));
        typed.map(|v| v.values().to_vec()).ok_or_else(wrong)
    }

    /// The list in a row, of a column of lists of texts.
    pub fn text_list(&self, name: &str, row: usize) -> Result<Vec<String>, FetchError> {
        let lists: &ListArray = self.column(name)?;
        let values = lists.value(row);
        let typed = values.as_any().downcast_ref::<StringArray>();
        let wrong = || self.wrong(format!("`{name}` holds lists of another type"));
        let typed = typed.ok_or_else(wrong)?;
        Ok(typed.iter().flatten().map(String::from).collect())
    }
}

/// What an optional column says in a row.
pub fn maybe<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

/// What an optional column of texts says in a row.
pub fn maybe_text(column: &StringArray, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.value(row).to_string())
}

/// A Parquet file.
pub struct Table {
    path: std::path::PathBuf,
    name: String,
}

impl Table {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            name: path.display().to_string(),
        }
    }

    fn builder(&self) -> Result<ParquetRecordBatchReaderBuilder<File>, FetchError> {
        let file = File::open(&self.path).map_err(|e| self.failed(&e))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| self.failed(&e))
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> FetchError {
        FetchError {
            what: self.name.clone(),
            reason: reason.to_string(),
        }
    }

    /// Rows in each row group.
    pub fn groups(&self) -> Result<Vec<usize>, FetchError> {
        let builder = self.builder()?;
        let groups = builder.metadata().row_groups().iter();
        let rows = groups.map(|g| usize::try_from(g.num_rows()).unwrap_or(0));
        Ok(rows.collect())
    }

    /// One row group, whole.
    pub fn group(&self, group: usize) -> Result<Rows, FetchError> {
        let builder = self.builder()?;
        let Some(meta) = builder.metadata().row_groups().get(group) else {
            return Err(self.failed(&"a row group is missing"));
        };
        let rows = usize::try_from(meta.num_rows()).unwrap_or(0).max(1);
        let builder = builder.with_row_groups(vec![group]).with_batch_size(rows);
        let mut reader = builder.build().map_err(|e| self.failed(&e))?;
        let batch = reader.next().ok_or_else(|| self.failed(&"no rows"))?;
        self.rows(batch)
    }

    fn rows(&self, batch: Result<RecordBatch, ArrowError>) -> Result<Rows, FetchError> {
        Ok(Rows {
            batch: batch.map_err(|e| self.failed(&e))?,
            file: self.name.clone(),
        })
    }

    /// Hands all rows to `work`, batch by batch; without the columns in `skip`.
    pub fn each(
        &self,
        skip: &[&str],
        mut work: impl FnMut(&Rows) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let builder = self.builder()?;
        let fields = builder.schema().fields().iter().enumerate();
        let kept = fields.filter(|(_, f)| !skip.contains(&f.name().as_str()));
        let mask = ProjectionMask::roots(builder.parquet_schema(), kept.map(|(i, _)| i));
        let reader = builder.with_projection(mask).build();
        for batch in reader.map_err(|e| self.failed(&e))? {
            work(&self.rows(batch)?)?;
        }
        Ok(())
    }
}
